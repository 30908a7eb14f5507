"""A bundle brings a cache to a machine without network: what it has is used, and apt and pip are not asked."""

import asyncio
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from lab import packaged
from lab.cli.app import app
from lab.cli.entry_point import run
from lab.errors import MissingError, UserError
from lab.lifecycle import bundle
from lab.runtime.containers import base_image, image_specs, images, python_libraries
from lab.runtime.debian import apt, downloads, libraries, sources, trees


def quiet(text: str) -> None:
    """Progress that nobody reads."""


@pytest.fixture
def online(tmp_path, monkeypatch):
    """A machine whose apt, pip and mmdebstrap answer with files of their own; what was asked for."""
    asked = []

    async def download(archives, packages, folder, progress):
        asked.append(folder.name)
        (folder / "cache").mkdir(parents=True)
        for name in packages:
            (folder / "cache" / f"{name}.deb").write_text(f"{name}\n")
        return sorted((folder / "cache").glob("*.deb"))

    async def make_archive(suite, archive):
        archive.write_text(suite)

    async def fetch_site(machine, target, progress):
        (target.parent / "fetched" / "library").mkdir(parents=True)
        (target.parent / "fetched" / "library" / "x.py").write_text("1")
        return target.parent / "fetched"

    async def download_wheels(lock, target, progress):
        target.mkdir()
        (target / "x.whl").write_text("wheel")

    monkeypatch.setenv("XMPPLAB_HOME", str(tmp_path / "online"))
    monkeypatch.delenv("XMPPLAB_CACHE", raising=False)
    monkeypatch.setattr(apt, "download", download)
    monkeypatch.setattr(base_image, "make_archive", make_archive)
    monkeypatch.setattr(python_libraries, "fetch_site", fetch_site)
    monkeypatch.setattr(bundle, "_download_wheels", download_wheels)
    monkeypatch.setattr(sources, "choose_sources", lambda *_: [])
    return asked


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """Become a machine with an empty cache where every download fails; the releases whose trees were made."""
    made = []

    async def never(*_, **__):
        raise AssertionError("something was downloaded")

    async def ensure_tree(release, progress):
        made.append(release)
        return Path(release)

    async def ensure_modules(found, progress):
        return Path("modules")

    def become():
        monkeypatch.undo()
        monkeypatch.setenv("XMPPLAB_HOME", str(tmp_path / "offline"))
        monkeypatch.delenv("XMPPLAB_CACHE", raising=False)
        for place, name in ((apt, "download"), (base_image, "make_archive"), (python_libraries, "_pip")):
            monkeypatch.setattr(place, name, never)
        monkeypatch.setattr(trees, "ensure_tree", ensure_tree)
        monkeypatch.setattr(trees, "ensure_modules", ensure_modules)
        return made

    return become


async def test_the_cache_of_a_machine_without_network_has_all_that_a_lab_needs(online, offline, tmp_path) -> None:
    file = tmp_path / "lab.bundle"
    written = await bundle.make(file, ["profanity"], quiet)
    assert len(online) == len(set(online)), "nothing is downloaded twice"
    made = offline()
    found = await bundle.fill(file, quiet)
    assert sorted(found.parts) == sorted(written.parts)
    assert found.sha256 == written.sha256 and made == ["bookworm", "trixie"]
    assert "the client profanity" in found.parts and "the client gajim" not in found.parts
    for one in bundle.list_sets(["profanity"]):
        packages = await downloads.fetch(one.release, one.packages, tmp_path / "unused", quiet)
        assert {path.stem for path in packages} == set(one.packages)
    image_specs.find_cache().mkdir(parents=True)
    spec = image_specs.find_server_image("prosody", "13.0")
    assert {path.stem for path in await images._packages(spec, quiet)} == set(spec.packages)
    machine = await apt.get_architecture()
    assert base_image.find_prepared_base("trixie", machine).read_text() == "trixie"
    site = await python_libraries.fetch_site(machine, image_specs.find_cache() / "site-x", quiet)
    assert (site / "library" / "x.py").read_text() == "1" and site.name.startswith(".site-")
    wheels = downloads.find_prepared() / bundle.WHEELS
    assert wheels.is_dir() == (packaged.PACKAGE.parent / bundle.LOCK).is_file()
    assert not list(downloads.find_prepared().glob(".*")), "nothing unfinished is left"


def test_of_encryptions_it_has_the_libraries_that_processes_load_and_no_python_code() -> None:
    release = libraries.find_release()
    found = {one.packages for one in bundle.list_sets(containers=False) if one.what.startswith("the library")}
    assert found == {("libotr5",)}
    assert {one.release for one in bundle.list_sets(containers=False)} == {"bookworm", "trixie", release}


async def test_a_bundle_of_a_bundle_needs_no_network_either(online, offline, tmp_path) -> None:
    await bundle.make(tmp_path / "one", [], quiet, containers=False)
    offline()
    await bundle.fill(tmp_path / "one", quiet)
    again = await bundle.make(tmp_path / "two", [], quiet, containers=False)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert not any("image" in part for part in again.parts)


async def test_what_another_version_needs_and_another_architecture_are_refused(online, offline, tmp_path, monkeypatch):
    await bundle.make(tmp_path / "lab.bundle", [], quiet, containers=False)
    offline()
    with monkeypatch.context() as patch:
        patch.setattr(trees, "list_packages", lambda release: ["something-else"])
        with pytest.raises(MissingError, match="servers of Debian bookworm, servers of Debian trixie are not in it"):
            await bundle.fill(tmp_path / "lab.bundle", quiet)

    async def other():
        return "m68k"

    monkeypatch.setattr(apt, "get_architecture", other)
    with pytest.raises(UserError, match="this machine is m68k"):
        await bundle.fill(tmp_path / "lab.bundle", quiet)


async def test_a_damaged_bundle_changes_nothing(online, offline, tmp_path) -> None:
    file = tmp_path / "lab.bundle"
    await bundle.make(file, [], quiet, containers=False)
    file.write_bytes(file.read_bytes()[:-20_000])
    offline()
    with pytest.raises(UserError, match=r"damaged|not whole"):
        await bundle.fill(file, quiet)
    assert not list(downloads.find_prepared().iterdir())


KILLED = """
import os, signal, sys
from pathlib import Path
from lab.lifecycle import bundle
bundle.bundle_file.write_bundle = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
bundle._write(Path("."), Path(sys.argv[1]), {})
"""


def test_what_a_killed_process_left_beside_a_bundle_is_deleted_by_the_next(online, tmp_path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    file, other = folder / "lab.bundle", folder / "lab.bundle2"
    for one in (file, other):
        assert subprocess.run([sys.executable, "-c", KILLED, str(one)], check=False).returncode == -9
    (left,) = folder.glob(".lab.bundle.*")
    (of_another,) = folder.glob(".lab.bundle2.*")
    own = folder / ".lab.bundle.unfinished-and-mine"
    own.touch()
    with left.open() as written:  # by another process, as it seems
        fcntl.flock(written, fcntl.LOCK_EX)
        bundle.delete_unfinished(file)
        assert left.exists()
    asyncio.run(bundle.make(file, [], quiet, containers=False))
    assert sorted(folder.iterdir()) == sorted([file, own, of_another])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give a FILE"),
        (["x", "--from", "y"], "give a FILE"),
        (["--from", "y", "--client", "gajim"], "--from takes all"),
        (["--from", "none"], "there is no such file"),
        (["none/x"], "in a folder that is there"),
        (["x", "--client", "pidgeon"], "there is no client"),
        (["x", "--client", "converse"], "partly from npm"),
    ],
)
def test_what_makes_no_sense_is_bad_usage(arguments, said, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XMPPLAB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert run(app, ["prepare", *arguments]) == 64
    assert said in capsys.readouterr().err
