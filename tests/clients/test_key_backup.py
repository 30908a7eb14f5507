"""Backups of a device's keys: what is put back is what there was, and nothing else."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.clients.device import ClientDevice
from lab.clients.key_backup import KeyBackups
from lab.errors import UserError


def test_files_are_what_they_were_and_nobody_else_reads_them(tmp_path: Path) -> None:
    folder = tmp_path / "laptop"
    folder.mkdir()
    (folder / "omemo.json").write_text("old")
    backups = KeyBackups()
    backup = backups.take(folder, {})
    (folder / "omemo.json").write_text("new")
    (folder / "otr.trust").write_text("new")
    backups.restore(backup, folder, {})
    assert {one.name: one.read_text() for one in folder.iterdir()} == {"omemo.json": "old"}
    assert (folder / "omemo.json").stat().st_mode & 0o777 == 0o600


def test_a_device_that_had_stored_nothing_has_nothing_again(tmp_path: Path) -> None:
    folder = tmp_path / "laptop"
    backups = KeyBackups()
    backup = backups.take(folder, {})
    folder.mkdir()
    (folder / "omemo.json").write_text("new")
    backups.restore(backup, folder, {})
    assert list(folder.iterdir()) == []


def test_values_of_a_device_without_a_folder_are_copied_both_ways() -> None:
    memory = {"session": {"keys": [1]}}
    backups = KeyBackups()
    backup = backups.take(None, memory)
    memory["session"]["keys"].append(2)
    memory["more"] = 1
    for _ in range(2):  # the backup stays as it is
        backups.restore(backup, None, memory)
        assert memory == {"session": {"keys": [1]}}
        memory["session"]["keys"].append(2)


async def test_a_device_that_is_connected_is_neither_copied_nor_restored() -> None:
    device = ClientDevice("d1", lambda event: None)
    assert await device.back_up() == {"backup": "1"}
    with pytest.raises(UserError, match="there is no backup '2' of this device"):
        await device.restore(backup="2")
    device._session = SimpleNamespace()
    for work in (device.back_up(), device.restore(backup="1")):
        with pytest.raises(UserError, match="disconnect it first"):
            await work
