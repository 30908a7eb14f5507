"""The folders of a lab's servers: who may enter them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_IMODE

import pytest

from lab.plan.build import build
from lab.plan.layout import Layout
from lab.runtime.lab_record import make_root
from lab.runtime.server_files import make_servers
from tests.plan.test_build import PROCESSES, island


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o177])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
def test_servers_reach_their_folders_whatever_the_umask_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that root starts run as another user."""
    monkeypatch.setenv("XMPPLAB_HOME", str(tmp_path / "home"))
    layout = Layout.of("mine")
    make_root(layout)
    make_servers(layout, build(island(), PROCESSES))
    servers = layout.root / "servers"
    passed = 0o711 if os.geteuid() == 0 else 0o700
    assert {S_IMODE(path.stat().st_mode) for path in (layout.root.parent, layout.root, servers)} == {passed}
    assert all(S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in servers.iterdir())
