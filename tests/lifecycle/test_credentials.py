"""The file in which labs keep authority, password and addresses: how it is made, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.errors import UserError
from lab.lifecycle.credentials import provide_credentials
from lab.network.authority import Authority


def test_a_new_file_is_private_and_gives_the_same_again(tmp_path: Path) -> None:
    path = tmp_path / "phone.json"
    made = provide_credentials(path)
    assert path.stat().st_mode & 0o777 == 0o600 and list(tmp_path.iterdir()) == [path]
    assert provide_credentials(path) == made and made.networks == {}
    made.keep_network("processes", "127.90.0.0/16")
    made.keep_network("processes", "127.91.0.0/16")
    assert provide_credentials(path).networks == {"processes": "127.90.0.0/16"}
    assert path.stat().st_mode & 0o777 == 0o600
    for secret in (made.password, made.salt, made.key):
        assert secret not in repr(made)


def test_a_file_that_is_deleted_while_a_lab_starts_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "phone.json"
    made = provide_credentials(path)
    path.unlink()
    made.keep_network("processes", "127.90.0.0/16")
    found = provide_credentials(path)
    assert (found.secret, found.authority, found.networks) == (
        made.secret, made.authority, {"processes": "127.90.0.0/16"}
    )  # fmt: skip
    assert path.stat().st_mode & 0o777 == 0o600


def _other_key(fields: dict[str, Any]) -> None:
    fields["key"] = Authority.generate("other").to_pem()[1].decode()


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.update(password=""),
        lambda fields: fields.update(salt="xyz"),
        lambda fields: fields.update(networks=["x"]),
        lambda fields: fields.update(more=1),
        lambda fields: fields.pop("key"),
        lambda fields: fields.update(certificate="none"),
        _other_key,
        lambda fields: fields.update(format="something else"),
    ],
)
def test_a_damaged_file_is_one_error_without_its_secrets(
    change: Callable[[dict[str, Any]], object], tmp_path: Path
) -> None:
    path = tmp_path / "phone.json"
    made = provide_credentials(path)
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields))
    with pytest.raises(UserError, match=r"phone\.json: ") as caught:
        provide_credentials(path)
    assert made.password not in str(caught.value) and "PRIVATE" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1]", "null", "\xff", '{"a": 1}', "[" * 60_000])
def test_another_kind_of_file_is_refused_and_kept(text: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text, encoding="latin-1")
    path.chmod(0o600)
    with pytest.raises(UserError, match="credentials"):
        provide_credentials(path)
    assert path.read_text(encoding="latin-1") == text


def test_a_file_that_others_can_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "phone.json"
    provide_credentials(path)
    path.chmod(0o640)
    with pytest.raises(UserError, match="chmod 600"):
        provide_credentials(path)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(UserError, match="symbolic link"):
        provide_credentials(tmp_path / "link")
    for place in (tmp_path, tmp_path / "no" / "x"):
        with pytest.raises(UserError):
            provide_credentials(place)
    if os.geteuid() == 0:
        path.chmod(0o600)
        os.chown(path, 65534, 65534)
        with pytest.raises(UserError, match="another user"):
            provide_credentials(path)
