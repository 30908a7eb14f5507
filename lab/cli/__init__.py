"""The command line: one file for each verb here, one page for each in docs/."""

from __future__ import annotations


def main() -> None:
    """The command `xmpplab`: run its arguments and exit with their code (docs/exit-codes.md)."""
    import sys

    from lab.cli.app import app
    from lab.cli.entry_point import run

    sys.exit(run(app, sys.argv[1:]))
