"""Nothing comes from an archive whose signature does not hold, whatever the machine's apt would let pass.

`signed/` is an archive of one package, signed in 2026 with `archive.asc`; `other.asc` is somebody else's key.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import MissingError
from lab.runtime.debian import apt as packages
from lab.runtime.debian.sources import Source

SIGNED = Path(__file__).parent / "signed"
AMONG = "dists/trixie"
SIGNATURE = "-----BEGIN PGP SIGNATURE-----"


def _as_it_is(_: Path) -> None:
    pass


def _unsigned(archive: Path) -> None:
    release = archive / AMONG / "InRelease"
    body = release.read_text().split("\n\n", 1)[1].partition(SIGNATURE)[0]
    release.unlink()
    release.with_name("Release").write_text(body)


def _altered(archive: Path) -> None:
    release = archive / AMONG / "InRelease"
    release.write_text(release.read_text().replace("Components: main", "Components: main contrib"))


def _lists_altered(archive: Path) -> None:
    for lists in (archive / AMONG / "main").glob("*/Packages"):
        lists.write_text(lists.read_text().replace("Version: 1", "Version: 2"))


async def _refusal(folder: Path, change: Callable[[Path], None], key: str) -> str:
    """What is said when the package `nothing-else` is wanted from the archive: it does not hold that one."""
    archive = folder / "archive"
    shutil.copytree(SIGNED, archive)
    change(archive)
    source = Source((f"file:{archive}",), ("trixie",), ("main",), (("Signed-By", str(SIGNED / key)),))
    with pytest.raises(MissingError) as refused:
        await packages.download([source], ["nothing-else"], folder / "apt", lambda _: None)
    return str(refused.value)


async def test_a_signature_that_holds_is_taken(tmp_path: Path) -> None:
    said = await _refusal(tmp_path, _as_it_is, "archive.asc")
    assert "Unable to locate package nothing-else" in said


@pytest.mark.parametrize("lenient", [False, True], ids=["strict", "lenient"])
@pytest.mark.parametrize(
    ("change", "key", "reason"),
    [
        (_as_it_is, "other.asc", "is not signed"),
        (_unsigned, "archive.asc", "is not signed"),
        (_altered, "archive.asc", "is not signed"),
        (_lists_altered, "archive.asc", "Hash Sum mismatch"),
    ],
)
async def test_one_that_does_not_hold_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    key: str,
    reason: str,
    lenient: bool,
) -> None:
    if lenient:
        machine = tmp_path / "machine.conf"
        machine.write_text('Acquire::AllowInsecureRepositories "true";\nAcquire::AllowWeakRepositories "true";\n')
        monkeypatch.setenv("APT_CONFIG", str(machine))
    said = await _refusal(tmp_path, change, key)
    assert reason in said
    assert "Unable to locate" not in said


@pytest.mark.parametrize("verifier", ["sqv", "gpgv"])
def test_either_program_that_verifies_will_do(verifier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian trixie brings sqv alone, older ones gpgv."""
    monkeypatch.setattr(packages, "build_search_path", lambda: str(tmp_path))
    for tool in packages.TOOLS:
        (tmp_path / tool).touch(mode=0o755)
    with pytest.raises(MissingError, match="container engine, sqv or gpgv is needed"):
        packages.require_tools()
    (tmp_path / verifier).touch(mode=0o755)
    assert packages.require_tools() == (*packages.TOOLS, verifier)
