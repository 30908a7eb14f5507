"""The keys that services in a container are lent for an attack."""

import os
from pathlib import Path

import pytest

from lab.plan.layout import Layout
from lab.runtime.containers import startup
from lab.system.processes import SERVER_UID
from tests.network.labs import plan


def test_a_copy_that_is_made_again_belongs_to_its_reader_from_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, the_plan = Layout(tmp_path), plan(network="127.99.0.0/16")
    domain = the_plan.server("a").certificate.domain
    (layout.server("a") / "certs").mkdir(parents=True)
    for suffix in ("crt", "key"):
        (layout.server("a") / "certs" / f"{domain}.{suffix}").write_text(suffix)
    given: list[int] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda _, uid, __: given.append(uid))
    # A service that reads before the owners of all folders have been changed finds files that are its own.
    monkeypatch.setattr(startup, "change_owner", lambda *_: given.append(-1))
    for _ in range(2):
        startup.share_certificates(layout, the_plan, ["a"])
    assert given == [SERVER_UID, SERVER_UID, -1] * 2
