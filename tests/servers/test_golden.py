"""Every configuration as text: golden files for the usual case, differences from it for the others.

After a wanted change: XMPPLAB_GOLDEN=write pytest tests/servers/test_golden.py, and read the diff.
"""

import difflib
import os
from itertools import product
from pathlib import Path

import pytest

from lab.declarations.servers import MANIFESTS
from lab.servers import get_software
from lab.servers.software import Blueprint
from lab.topology.spec import Authentication, Custom, Feed, Server, Tls

GOLDEN = Path(__file__).parent / "golden"
#: Texts that would be code if they were not written as data, what is added to, and what takes a place.
OPTIONS = {
    "prosody": {
        "motd_text": 'a"\\\r\n]] os.exit() --',
        "modules_enabled": ["motd"],
        "s2s_timeout": 1.5,
        "limits": {"c2s": {"rate": '"} x = {"'}, "list": [1, "a", True]},
    },
    "ejabberd": {
        "loglevel": "debug",
        "language": 'a"\n- x: {y}',
        "modules": {"mod_ping": {"send_pings": True}, "mod_motd": {}},
        "oom_watermark": 1.5,
    },
}
VERSIONS = {"prosody": "13.0", "ejabberd": "24.12"}


def blueprint(kind: str, runtime: str = "processes", **spec) -> Blueprint:
    """Server `home` with one neighbour, with the facts that each runtime gives."""
    contained = runtime == "containers"
    return Blueprint(
        spec=Server("home", "home.test", kind, VERSIONS.get(kind, ""), users=3, **spec),
        address="198.18.17.1" if contained else "127.91.1.1",
        folder="/lab" if contained else "/home/ann/labs/x/servers/home",
        prefix="" if contained else "/home/ann/cache/trixie",
        modules=f"/lab-modules/{kind}" if contained else f"/home/ann/cache/modules/{kind}",
        dns=("198.18.16.2", 53) if contained else ("127.91.0.2", 5401),
        allow=("public.test", "conference.public.test"),
        probes=("public.test",),
        libraries="" if contained else "x86_64-linux-gnu",
        runtime=runtime,
    )


def rendered(plan: Blueprint) -> str:
    """All that a rendering says, as one text."""
    result = get_software(plan.spec.software).render(plan)
    parts = ["$ " + " ".join(result.command), *(f"{name}={value}" for name, value in result.environment)]
    for file in result.files:
        parts += ["", f"=== {file.path} {file.mode:o}", file.text.rstrip("\n")]
    return "\n".join(parts) + "\n"


def compare(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("XMPPLAB_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} differs"


@pytest.mark.parametrize("runtime", ["processes", "containers"])
@pytest.mark.parametrize("kind", VERSIONS)
def test_the_usual_configuration(kind, runtime):
    compare(f"{kind}-{runtime}.txt", rendered(blueprint(kind, runtime)))


@pytest.mark.parametrize("kind", VERSIONS)
def test_every_variant_as_its_difference_from_the_usual_one(kind):
    usual = rendered(blueprint(kind)).splitlines()
    text = ""
    variants = [{"tls": tls, "authentication": how} for tls, how in product(Tls, Authentication)]
    variants += [{"feed": Feed.META}, {"feed": Feed.OFF}]
    added = [name for name, one in MANIFESTS[kind].features.items() if not one.usual and not one.fixed]
    variants += [{"features": (f"+{name}",)} for name in added]
    usually = [name for name, one in MANIFESTS[kind].features.items() if one.usual and not one.fixed]
    variants += [{"features": (f"-{name}",)} for name in usually]
    variants += [{"max_stanza_size": 20_000}, {"certificate_names": ("*.home.test",)}]
    variants += [{"options": OPTIONS[kind]}]
    for variant in variants:
        lines = rendered(blueprint(kind, **variant)).splitlines()
        changes = [line for line in difflib.ndiff(usual, lines) if line[0] in "+-"]
        text += "\n".join(["# " + " ".join(map(str, variant.values())), *changes]) + "\n\n"
    compare(f"{kind}-variants.txt", text)


@pytest.mark.parametrize("runtime", ["processes", "containers"])
def test_a_users_own_server(runtime):
    mine = Custom("mine.yaml", ("./serve", "--verbose"), "mine:latest", "/home/ann/mine")
    compare(f"custom-{runtime}.txt", rendered(blueprint("custom", runtime, custom=mine)))


@pytest.mark.parametrize("kind", VERSIONS)
def test_without_neighbours_the_list_is_empty_and_without_a_policy_there_is_none(kind):
    from dataclasses import replace

    usual = blueprint(kind)
    nobody = rendered(replace(usual, allow=()))
    assert "lab_policy" in nobody and "public.test" not in nobody.replace("probes", "").split("allow", 1)[1][:40]
    assert "lab_policy" not in rendered(replace(usual, allow=None))
    inbound = rendered(replace(usual, outbound=False))
    assert "lab_allow_outbound = false" in inbound or "outbound: false" in inbound


@pytest.mark.parametrize("kind", VERSIONS)
def test_slow_links_have_patient_servers(kind):
    from dataclasses import replace

    usual, slow = rendered(blueprint(kind)), rendered(replace(blueprint(kind), round_trip=8.0))
    added = [line.strip() for line in slow.splitlines() if line not in usual.splitlines()]
    assert (
        added
        == {
            "prosody": ["s2s_timeout = 170", "lab_probe_patience = 26"],
            "ejabberd": ["negotiation_timeout: 200", "patience: 26"],
        }[kind]
    )
