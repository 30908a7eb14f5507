"""What a load ran on, as far as figures depend on it: so that two are not compared that cannot be."""

from __future__ import annotations

import os
from pathlib import Path

import lab

_CPUINFO = Path("/proc/cpuinfo")


def machine() -> dict[str, str | int]:
    """Cores that we may use, the processor's name ("" where the kernel tells none), the lab's version."""
    return {"cores": len(os.sched_getaffinity(0)), "processor": _processor(), "lab": lab.__version__}


def _processor() -> str:
    lines = _CPUINFO.read_text(errors="replace").splitlines() if _CPUINFO.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
