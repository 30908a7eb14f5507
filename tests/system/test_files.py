"""Files that only their owner reads, and that are whole or not there."""

import stat
from pathlib import Path

import pytest

from lab.system.files import make_private_folder, read_last_lines, write_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_is_its_owners_whatever_it_was(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o755)
    assert [mode(make_private_folder(tmp_path / name)) for name in ("there", "new/below")] == [0o700, 0o700]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_private(file, "first")
    write_private(file, b"second", 0o640)
    assert (file.read_bytes(), mode(file)) == (b"second", 0o640)
    assert [*tmp_path.iterdir()] == [file]


def test_where_it_cannot_be_written_the_old_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    write_private(file, "first")

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_private(file, "second")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("file", "first")]


def test_last_lines(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"one\ntwo\nth\xffree\nfour")
    assert read_last_lines(file, 2) == ["th\ufffdree", "four"]
    assert read_last_lines(tmp_path / "none", 2) == []
