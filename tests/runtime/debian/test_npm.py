"""Packages of npm: what is unpacked, and what is refused. npm is a script here."""

from __future__ import annotations

import base64
import hashlib
import os
import tarfile
from pathlib import Path

import pytest

from lab.errors import MissingError
from lab.runtime.debian.npm import NpmPackage, add_package

NAME = "example"


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NpmPackage:
    """A package as npm gives it: one file, in the archive's folder `package`."""
    (tmp_path / "page.js").write_text("1;")
    with tarfile.open(tmp_path / "archive", "w:gz") as archive:
        archive.add(tmp_path / "page.js", "package/dist/page.js")
    tools = tmp_path / "bin"
    tools.mkdir()
    script = f'#!/bin/sh\necho "$@" > {tmp_path}/words\ncp {tmp_path}/archive example-1.0.0.tgz\n'
    (tools / "npm").write_text(script)
    (tools / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    digest = hashlib.sha512((tmp_path / "archive").read_bytes()).digest()
    return NpmPackage(NAME, "1.0.0", f"sha512-{base64.b64encode(digest).decode()}")


async def test_a_package_is_unpacked_and_no_script_of_it_runs(npm: NpmPackage, tmp_path: Path) -> None:
    await add_package(npm, tmp_path / "tree", tmp_path / "work", print)
    assert (tmp_path / "tree/usr/lib/node_modules/example/dist/page.js").read_text() == "1;"
    assert (tmp_path / "words").read_text() == "pack --ignore-scripts --loglevel=error example@1.0.0\n"


async def test_another_archive_is_refused(npm: NpmPackage, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"example@1\.0\.0 is another archive: its hash is sha512-"):
        await add_package(NpmPackage(NAME, "1.0.0", "sha512-AAAA"), tmp_path / "tree", tmp_path / "work", print)
    assert not (tmp_path / "tree").exists()


async def test_what_npm_says_is_quoted_where_it_fails(npm: NpmPackage, tmp_path: Path) -> None:
    (tmp_path / "bin/npm").write_text("#!/bin/sh\necho no such package; exit 1\n")
    with pytest.raises(MissingError, match=r"cannot be downloaded by npm:\n  \| no such package"):
        await add_package(npm, tmp_path / "tree", tmp_path / "work", print)


async def test_without_npm_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(MissingError, match="apt-get install npm"):
        await add_package(NpmPackage(NAME, "1.0.0", ""), tmp_path / "tree", tmp_path / "work", print)
