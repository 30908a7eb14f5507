"""What follows from the settings of one server."""

import pytest

from lab.topology.spec import Certificate, Server


def server(domain: str = "home.test", **settings: object) -> Server:
    return Server("home", domain, "prosody", "13.0", **settings)  # type: ignore[arg-type]


def test_what_is_said_of_a_feature_goes_before_what_is_usual() -> None:
    assert server().has("mam") and not server().has("websocket")
    changed = server(features=("-mam", "+websocket"))
    assert changed.has("websocket") and not changed.has("mam")


def test_features_bring_host_names() -> None:
    usual = ("home.test", "conference.home.test", "upload.home.test")
    assert server().hosts == usual
    assert server(features=("+pubsub", "+anonymous", "+websocket", "-mam")).hosts == (
        *usual,
        "pubsub.home.test",
        "anonymous.home.test",
    )
    ejabberd = Server("home", "home.test", "ejabberd", "24.12", features=("+anonymous", "+component"))
    assert ejabberd.hosts == (*usual, "pubsub.home.test", "component.home.test")


@pytest.mark.parametrize(
    ("domain", "settings", "proves"),
    [
        ("home.test", {}, True),
        ("home.test", {"certificate": Certificate.EXPIRED}, False),
        ("home.test", {"certificate_names": ("home.test", "*.home.test")}, True),
        ("home.test", {"certificate_names": ("*.home.test",)}, False),
        ("home.test", {"certificate_names": ("*.test",)}, False),  # no wildcard right below the root's children
        ("home.lab.test", {"certificate_names": ("*.lab.test",)}, True),
    ],
)
def test_whether_clients_can_take_its_certificate(domain: str, settings: dict[str, object], proves: bool) -> None:
    assert server(domain, **settings).proves_domain == proves
