"""The cache: whole or not there, swept while nobody fills it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import MissingError, TimedOut
from lab.lifecycle.cleanup import sweep
from lab.plan.build import build
from lab.plan.diff import find_differences
from lab.plan.model import RuntimeFacts
from lab.runtime.build_cache import find_cache
from lab.runtime.debian import apt as packages
from lab.runtime.debian import trees
from lab.runtime.memory import check_memory
from lab.system import subprocesses as commands
from lab.topology.files import load
from lab.topology.spec import Topology
from tests.runtime.helpers import pair


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XMPPLAB_HOME", str(tmp_path))
    monkeypatch.delenv("XMPPLAB_CACHE", raising=False)
    return tmp_path


def test_a_tree_is_whole_only_where_it_was_made(tmp_path: Path) -> None:
    tree = trees.find_tree("trixie", "amd64")
    tree.mkdir(parents=True)
    assert not trees.is_complete(tree)
    (tree / trees.STAMP).write_text(f"{tree}\n")
    assert trees.is_complete(tree)
    assert trees.find_complete_trees("trixie") == [tree]
    assert not trees.is_complete(tree.rename(tmp_path / "moved"))


async def test_with_the_stamp_apt_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = trees.find_tree("trixie", await packages.get_architecture())
    tree.mkdir(parents=True)
    (tree / trees.STAMP).write_text(f"{tree}\n")

    async def never(*_: object) -> None:
        raise AssertionError("apt was called")

    monkeypatch.setattr(packages, "download", never)
    assert await trees.ensure_tree("trixie", lambda text: None) == tree


async def test_packages_of_older_releases_say_lib_and_are_merged_into_usr(tmp_path: Path) -> None:
    """The C library of Debian bookworm is below /lib, and other packages are below /usr/lib in the same tree."""
    made = []
    for name, path in (("old", "lib/x86_64-linux-gnu/libc.so.6"), ("new", "usr/lib/x86_64-linux-gnu/libm.so.6")):
        source = tmp_path / name
        (source / path).parent.mkdir(parents=True)
        (source / path).write_text(name)
        (source / "DEBIAN").mkdir(mode=0o755)
        control = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: m <m@x.test>\nDescription: d\n"
        (source / "DEBIAN" / "control").write_text(control)
        made.append(tmp_path / f"{name}.deb")
        code, output = await commands.run(["dpkg-deb", "--build", str(source), str(made[-1])])
        assert code == 0, output
    tree = tmp_path / "tree"
    await packages.unpack(made, tree, lambda text: None)
    assert packages.find_triplet(tree) == "x86_64-linux-gnu"
    assert sorted(path.name for path in (tree / "usr/lib/x86_64-linux-gnu").iterdir()) == ["libc.so.6", "libm.so.6"]
    assert (tree / "lib").readlink() == Path("usr/lib")


def test_each_version_has_modules_of_its_own() -> None:
    """Erlang's compiled modules run on the release that compiled them."""
    one = trees.find_modules_folder({"trixie": Path("/t")})
    assert one != trees.find_modules_folder({"trixie": Path("/t"), "bookworm": Path("/b")})
    facts = RuntimeFacts("processes", "127.80.0.0/16", "/x/{server}", modules="/m/{software}-{version}")
    files = {server.spec.name: server.files[0].text for server in build(load("versions"), facts).servers}
    assert "/m/prosody-13.0" in files["fresh"] and "/m/prosody-0.12" in files["settled"]


async def test_what_fails_leaves_nothing_half_made(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> None:
        raise MissingError("no network")

    monkeypatch.setattr(packages, "download", fails)
    with pytest.raises(MissingError, match="no network"):
        await trees.ensure_tree("trixie", lambda text: None)
    assert list((find_cache() / "trees").iterdir()) == []


async def test_half_made_trees_are_swept_unless_somebody_is_at_it() -> None:
    begun = find_cache() / "trees" / ".trixie-amd64-x"
    async with trees.build_cache().locked(lambda text: None):
        begun.mkdir(parents=True)
        await sweep(containers=False)
        assert begun.is_dir()
        with pytest.raises(TimedOut):
            async with trees.build_cache().locked(lambda text: None, patience=0.1):
                pass
    await sweep(containers=False)
    assert not begun.exists()


async def test_an_archive_without_the_release_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("XMPPLAB_ARCHIVE", f"file://{tmp_path}/empty")
    with pytest.raises(MissingError, match="XMPPLAB_ARCHIVE"):
        await trees.ensure_tree("trixie", lambda text: None)


async def test_commands_end_with_the_task() -> None:
    code, output = await commands.run(["sh", "-c", "echo one; echo two >&2; exit 3"])
    assert (code, output) == (3, "one\ntwo\n")


def test_too_little_memory_is_said_in_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.runtime.memory.read_available", lambda: 64 << 20)
    with pytest.raises(MissingError, match=r"2 servers need about \d+ MB of memory, and 64 MB"):
        check_memory(pair())


def test_many_differences_are_cut_short() -> None:
    facts = RuntimeFacts("processes", "127.80.0.0/16", "/x/{server}")

    def differ(a: Topology, b: Topology) -> list[str]:
        return find_differences(build(a, facts), build(b, facts))

    assert differ(pair(), pair()) == []
    assert differ(pair(), load("ring:20"))[-1].endswith("more differences")
