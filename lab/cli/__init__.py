"""The command line: one file for each verb here, one page for each in docs/."""

from __future__ import annotations


def main() -> None:
    """The command `xmpplab`: run its arguments and exit with their code (docs/exit-codes.md).

    Before and after that nothing has to be cleaned up: Ctrl-C ends this process at once, and without a traceback.
    """
    import signal
    import sys

    interrupted = signal.getsignal(signal.SIGINT)
    if interrupted is signal.default_int_handler:  # else it is ignored, as in the background of a shell
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    from lab.cli.app import app
    from lab.cli.entry_point import run

    signal.signal(signal.SIGINT, interrupted)
    code = run(app, sys.argv[1:])
    if interrupted is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)
