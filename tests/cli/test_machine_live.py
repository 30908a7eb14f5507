"""What the machine lacks is said as such: a disk that is full, a loopback network that is down. Both are real here.

Namespaces of the kernel give a command a small disk, or a network of its own, that nothing else on the machine sees.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab import exit_codes

XMPPLAB = str(Path(sys.executable).with_name("xmpplab"))
LOAD = ("load", "neighbours", "-t", "pair", "--users", "4", "-r", "20/s", "--for", "2s", "--warmup", "1s")
STUDY = ("study", "-t", "pair", "--seeds", "1", "-u", "4", "-r", "20/s", "--for", "2s", "--warmup", "1s")
RUN = ("run", "everyone-writes", "-t", "pair")


def in_namespace(options: list[str], script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in new namespaces."""
    return subprocess.run(
        ["unshare", *options, "sh", "-ec", script, "sh", *arguments], capture_output=True, text=True, timeout=200,
        check=False,
    )  # fmt: skip


def mounts() -> bool:
    """Whether a disk can be mounted here. Only the real root: servers run as another user than the command."""
    return os.geteuid() == 0 and in_namespace(["-m"], "mount -t tmpfs none /mnt").returncode == 0


def on_small_disk(place: Path, size: str, command: tuple[str, ...], home: Path | None = None) -> tuple[int, str, Path]:
    """Run the command with a disk of that size at `place`: its exit code, what it said, and what the disk had then."""
    if not mounts():
        pytest.skip("a disk of its own cannot be mounted here")
    place.mkdir()
    kept = place.with_name("kept")
    script = """
        mount -t tmpfs -o "mode=755,size=$1" none "$2"; place=$2 kept=$3; shift 3
        code=0; "$@" || code=$?
        cp -a "$place" "$kept"; exit $code
    """
    variables = () if home is None else ("env", f"XMPPLAB_HOME={home}")
    done = in_namespace(
        ["-m"], script, size, str(place), str(kept), *variables, XMPPLAB, *command, "--runtime", "processes"
    )
    return done.returncode, done.stdout + done.stderr, kept


def check_said(code: int, said: str, place: Path) -> None:
    assert code == exit_codes.MISSING, said
    last = said[said.rindex("xmpplab: ") :]
    assert "No space left on device" in last, said
    assert f"xmpplab: {place}/" in last, said
    assert f"the disk is that of {place}" in last, said
    assert "VALID" not in said.split(), said


@pytest.mark.live
@pytest.mark.parametrize("size", [pytest.param("16k", marks=pytest.mark.slow), "28k"])
def test_a_run_whose_disk_is_full_is_no_verdict(tmp_path: Path, size: str) -> None:
    code, said, kept = on_small_disk(tmp_path / "disk", size, (*RUN, "--runs", str(tmp_path / "disk/runs")))
    check_said(code, said, tmp_path / "disk")
    (folder,) = (one for one in (kept / "runs").iterdir() if not one.is_symlink())
    again = subprocess.run([XMPPLAB, "check", str(folder)], capture_output=True, text=True, timeout=100, check=False)
    assert again.returncode in (exit_codes.UNKNOWN, exit_codes.USAGE), again.stdout


@pytest.mark.live
@pytest.mark.parametrize("size", [pytest.param("8k", marks=pytest.mark.slow), "24k"])
def test_a_load_whose_disk_is_full_is_no_verdict(tmp_path: Path, size: str) -> None:
    code, said, _ = on_small_disk(tmp_path / "disk", size, (*LOAD, "--runs", str(tmp_path / "disk/runs")))
    check_said(code, said, tmp_path / "disk")


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize("size", ["4k", "12k", "28k"])
def test_a_study_whose_disk_is_full_is_no_verdict(tmp_path: Path, size: str) -> None:
    code, said, _ = on_small_disk(tmp_path / "disk", size, (*STUDY, "--runs", str(tmp_path / "disk/runs")))
    check_said(code, said, tmp_path / "disk")


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize("size", ["32k", "36k", "40k", "56k", "72k"])
def test_a_load_is_valid_with_all_its_files_only(tmp_path: Path, size: str) -> None:
    code, said, kept = on_small_disk(tmp_path / "disk", size, (*LOAD, "--runs", str(tmp_path / "disk/runs")))
    if code == exit_codes.MISSING:
        check_said(code, said, tmp_path / "disk")
    else:
        assert len([*kept.glob("runs/*/page.html")]) == 2, said  # one is that of `latest`


def test_a_lab_whose_disk_is_full_is_not_started(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    code, said, _ = on_small_disk(disk, "100k", ("up", "pair"), disk / "home")
    assert code == exit_codes.MISSING, said
    assert f"xmpplab: {disk}/home" in said, said
    assert "MB free" in said, said
    assert "starting" not in said, said


@pytest.mark.parametrize("command", [RUN, LOAD, pytest.param(("up", "pair"), marks=pytest.mark.slow)])
def test_a_loopback_network_that_is_down_is_said(command: tuple[str, ...]) -> None:
    options = ["-n"] if os.geteuid() == 0 else ["-r", "-n"]
    if shutil.which("unshare") is None or in_namespace(options, "true").returncode:
        pytest.skip("a network of its own cannot be made here")
    done = in_namespace(options, '"$@"', XMPPLAB, *command, "--runtime", "processes")
    assert done.returncode == exit_codes.MISSING, done.stderr
    assert "the loopback network of this machine is down" in done.stderr
    assert "`ip link set lo up`, as root" in done.stderr
    assert "starting" not in done.stderr
