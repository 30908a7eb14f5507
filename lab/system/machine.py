"""What a run ran on: enough to compare two runs, and nothing that names the machine or its user."""

from __future__ import annotations

import os
import platform
from functools import cache

from lab.packaged import VERSION


@cache
def describe_machine() -> tuple[tuple[str, str], ...]:
    """Name and value of each: system, cores, memory, Python, xmpplab."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        ("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        ("cores", str(os.cpu_count() or "not known")),
        ("memory", f"{memory:.1f} GiB"),
        ("Python", platform.python_version()),
        ("xmpplab", VERSION),
    )
