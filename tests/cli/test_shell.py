"""The prompt of `xmpplab shell`, without a lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.cli import shell


def test_a_history_that_cannot_be_read_is_said_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XMPPLAB_HOME", str(tmp_path))
    (tmp_path / shell.HISTORY).mkdir()
    with shell._line_editing({}):
        pass
    said = capsys.readouterr().err
    assert "earlier sessions cannot be read" in said and "this session are not kept" in said
