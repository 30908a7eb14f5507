"""The command line: one file per verb, one page per verb in docs/."""

from __future__ import annotations


def main() -> None:
    """The command `xmpplab`: carry the arguments out and exit with their code (docs/exit-codes.md)."""
    import sys

    from lab.cli.app import app
    from lab.cli.edge import run

    sys.exit(run(app, sys.argv[1:]))
