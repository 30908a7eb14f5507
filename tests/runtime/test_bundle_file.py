"""The file of a bundle: what is read is what was written, and anything else is refused before it is used."""

import hashlib
import io
import json
import tarfile

import pytest

from lab.errors import UserError
from lab.runtime.bundle_file import MANIFEST, read_bundle, write_bundle

ABOUT = {"xmpplab": "1", "architecture": "amd64"}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "folder"
    for name, data in (("packages/a/x.deb", b"x" * 3_000_000), ("packages/b/x.deb", b"x" * 3_000_000), ("w/y", b"")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    path = tmp_path / "lab.bundle"
    with path.open("wb") as file:
        write_bundle(folder, file, ABOUT)
    return path


@pytest.fixture
def target(tmp_path):
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def forge(path, files, members, version=1):
    """A bundle with any manifest and any members."""
    with tarfile.open(path, "w") as archive:
        data = json.dumps({"version": version, **ABOUT, "files": files}).encode()
        for info, content in [(tarfile.TarInfo(MANIFEST), data), *members]:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def member(name, **values):
    info = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(info, key, value)
    return info


def test_what_is_read_is_what_was_written_and_equal_contents_are_there_once(bundle, target) -> None:
    manifest = read_bundle(bundle, target)
    assert (manifest.xmpplab, manifest.architecture) == ("1", "amd64")
    found = {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert found == {"packages/a/x.deb": b"x" * 3_000_000, "packages/b/x.deb": b"x" * 3_000_000, "w/y": b""}
    assert bundle.stat().st_size < 4_000_000
    with tarfile.open(bundle) as archive:
        assert archive.getnames() == [MANIFEST, "packages/a/x.deb", "w/y"]


def test_a_damaged_byte_is_found_and_named(bundle, target) -> None:
    data = bytearray(bundle.read_bytes())
    data[data.index(b"xxxx") + 1_000_000] ^= 1
    bundle.write_bytes(data)
    with pytest.raises(UserError, match=r"packages/a/x\.deb has another hash"):
        read_bundle(bundle, target)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_one_that_was_cut_off_is_damaged(bundle, target, part) -> None:
    data = bundle.read_bytes()
    bundle.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(UserError, match="damaged"):
        read_bundle(bundle, target)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a//x", "./x", "a\0x"])
def test_no_path_leads_out_of_the_folder(tmp_path, target, name) -> None:
    path = forge(tmp_path / "evil", {name: {"sha256": sha256(b"x"), "size": 1}}, [(member(name), b"x")])
    with pytest.raises(UserError, match="which no bundle has"):
        read_bundle(path, target)
    assert not list(target.iterdir()) and not (tmp_path / "x").exists()


@pytest.mark.parametrize("other", ["a/b", "a/b/c"])
def test_no_file_is_a_folder_of_others(tmp_path, target, other) -> None:
    one = {"sha256": sha256(b"x"), "size": 1}
    with pytest.raises(UserError, match=f"names '{other}', which no bundle has"):
        read_bundle(forge(tmp_path / "both", {"a": one, other: one}, [(member("a"), b"x")]), target)


@pytest.mark.parametrize(
    ("kind", "content"),
    [(tarfile.SYMTYPE, b""), (tarfile.LNKTYPE, b""), (tarfile.FIFOTYPE, b""), (tarfile.DIRTYPE, b"")],
)
def test_only_regular_files_are_written(tmp_path, target, kind, content) -> None:
    files = {"a": {"sha256": sha256(b""), "size": 0}}
    path = forge(tmp_path / "evil", files, [(member("a", type=kind, linkname="/etc/passwd"), b"")])
    with pytest.raises(UserError, match="damaged, or was changed"):
        read_bundle(path, target)
    assert not list(target.iterdir())


def test_what_the_manifest_does_not_name_or_names_in_vain_is_refused(tmp_path, target) -> None:
    one = {"sha256": sha256(b"x"), "size": 1}
    with pytest.raises(UserError, match="'b' is not in its manifest"):
        read_bundle(forge(tmp_path / "more", {"a": one}, [(member("a"), b"x"), (member("b"), b"y")]), target)
    with pytest.raises(UserError, match="'a' is not in its manifest"):
        read_bundle(forge(tmp_path / "twice", {"a": one}, [(member("a"), b"x")] * 2), target)
    (target / "a").unlink()
    with pytest.raises(UserError, match="a is missing: the bundle is not whole"):
        read_bundle(forge(tmp_path / "less", {"a": one}, []), target)


def test_more_than_the_manifest_says_is_not_written(tmp_path, target) -> None:
    files = {"a": {"sha256": sha256(b"x"), "size": 1}}
    with pytest.raises(UserError, match="another hash"):
        read_bundle(forge(tmp_path / "large", files, [(member("a"), b"y" * 1_000_000)]), target)
    assert (target / "a").stat().st_size == 1


def test_what_is_no_bundle_says_so(tmp_path, target) -> None:
    (tmp_path / "text").write_text("no tar")
    with tarfile.open(tmp_path / "other.tar", "w") as archive:
        archive.addfile(member("x"), io.BytesIO())
    for path in (tmp_path / "text", tmp_path / "other.tar"):
        with pytest.raises(UserError, match="is no bundle"):
            read_bundle(path, target)
    with pytest.raises(UserError, match="there is no such file"):
        read_bundle(tmp_path / "none", target)
    with pytest.raises(UserError, match="version 1"):
        read_bundle(forge(tmp_path / "new", {}, [], version=2), target)
