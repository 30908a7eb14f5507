"""What `xmpplab with` adds to a command: processor time from the start to the end of `true`, and of what carries it.

    python benchmarks/with_command.py [ROUNDS]

A pair of servers is started as processes, and ended at the end. What carries the command's connections is no child of
the command's: this process adopts it (PR_SET_CHILD_SUBREAPER), so that its processor time counts as well. The best of
the rounds, since a machine's other work only ever adds. Ends with 1 if the aim is missed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROUNDS = 10
AIM = 0.3  # seconds of processor time
_XMPPLAB = [sys.executable, "-m", "lab.cli"]
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def main(rounds: int = ROUNDS) -> int:
    """Measure, print, and say whether the aim is met."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    name = f"bench-{secrets.token_hex(3)}"
    subprocess.run([*_XMPPLAB, "up", "pair", "--name", name, "--runtime", "processes"], check=True, capture_output=True)
    before = _children()
    try:
        alone = min(_measure(["true"], before) for _ in range(rounds))
        ours = min(_measure([*_XMPPLAB, "with", "--name", name, "--", "true"], before) for _ in range(rounds))
    finally:
        subprocess.run([*_XMPPLAB, "down", name], check=True, capture_output=True)
    print(f"xmpplab with adds {ours - alone:.2f} s CPU to a command (aim {AIM}); best of {rounds}")
    return 0 if ours - alone <= AIM else 1


def _measure(command: Sequence[str], before: set[int]) -> float:
    """CPU seconds of a command and of the orphans that it leaves, until all have ended."""
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for orphan in _children() - before:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(orphan, 0)
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end.ru_utime - start.ru_utime + end.ru_stime - start.ru_stime


def _children() -> set[int]:
    """This process's children: the servers of the lab are not among those that a command leaves."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
