"""How much of the processor a process may have, by its cores and by its control group, of either version."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.load.metrics.cpu import read_allowed_cores


def _process(folder: Path, cgroup: str) -> Path:
    (folder / "proc" / str(os.getpid())).mkdir(parents=True)
    (folder / "proc" / str(os.getpid()) / "cgroup").write_text(cgroup)
    return folder / "proc"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"lab/x/cpu.max": "20000 100000\n"}, 0.2),
        ({"lab/cpu.max": "30000 100000\n", "lab/x/cpu.max": "max 100000\n"}, 0.3),  # the group above has one
        ({"lab/x/cpu.max": "max 100000\n"}, None),
        ({}, None),
    ],
)
def test_version_2(tmp_path: Path, files: dict[str, str], expected: float | None) -> None:
    proc, root = _process(tmp_path, "0::/lab/x\n"), tmp_path / "cgroup"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    assert read_allowed_cores(os.getpid(), root, proc) == (expected or len(os.sched_getaffinity(0)))


@pytest.mark.parametrize(("quota", "expected"), [("50000", 0.5), ("-1", None)])
@pytest.mark.parametrize("mounted", ["cpu", "cpu,cpuacct"])
def test_version_1(tmp_path: Path, quota: str, expected: float | None, mounted: str) -> None:
    proc, root = _process(tmp_path, f"4:memory:/m\n2:{mounted}:/docker/x\n0::/\n"), tmp_path / "cgroup"
    folder = root / mounted / "docker" / "x"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text(quota)
    (folder / "cpu.cfs_period_us").write_text("100000")
    assert read_allowed_cores(os.getpid(), root, proc) == (expected or len(os.sched_getaffinity(0)))


def test_a_process_that_is_gone() -> None:
    assert read_allowed_cores(2**22 + 1) is None
