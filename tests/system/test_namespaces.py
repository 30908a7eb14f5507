"""Namespaces that a kernel does not give: one error, which says what can be done."""

from __future__ import annotations

import os

import pytest

from lab.errors import MissingError
from lab.system import namespaces


@pytest.mark.parametrize("refused", ["_unshare", "_mount", "_bring_loopback_up"])
def test_whatever_is_refused_is_one_error(refused: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may allow some of it: with CAP_SYS_ADMIN alone a network cannot be brought up."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    for name in ("_unshare", "_map_user", "_mount", "_bring_loopback_up"):
        monkeypatch.setattr(namespaces, name, refuse if name == refused else lambda *_: None)
    with pytest.raises(MissingError, match=rf"gives user {os.getuid()} no namespaces \(Operation not permitted\)"):
        namespaces.enter(network=True)


@pytest.mark.parametrize(("user", "remedy"), [(1000, "as root"), (0, "SYS_ADMIN and NET_ADMIN")])
def test_root_is_not_told_to_become_root(user: int, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert remedy in namespaces.describe_remedy()
