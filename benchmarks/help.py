"""What `xmpplab --help` costs: what it imports, for it starts nothing.

    python benchmarks/help.py [ROUNDS]

CPU seconds of the whole command beside those of a bare interpreter; the best of the rounds, since a machine's other
work only ever adds. Ends with 1 if the aim is missed.
"""

from __future__ import annotations

import resource
import subprocess
import sys

ROUNDS = 5
AIM = 0.3  # seconds of processor time


def main(rounds: int = ROUNDS) -> int:
    """Measure, print, and say whether the aim is met."""
    bare = min(cpu([sys.executable, "-c", ""]) for _ in range(rounds))
    ours = min(cpu([sys.executable, "-m", "lab.cli", "--help"]) for _ in range(rounds))
    print(f"xmpplab --help: {ours:.2f} s CPU (aim {AIM}); a bare interpreter {bare:.2f} s; best of {rounds}")
    return 0 if ours <= AIM else 1


def cpu(command: list[str]) -> float:
    """CPU seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
