"""Exit codes, one file for all who end with one. docs/exit-codes.md is its page."""

from __future__ import annotations

from collections.abc import Iterable

from lab.errors import MissingError, NotReady, UserError

VALID = 0
FAILED = 1
UNKNOWN = 2  # or nothing was judged
NOT_READY = 3
USAGE = 64  # EX_USAGE of sysexits(3)
MISSING = 69  # EX_UNAVAILABLE
INTERNAL = 70  # EX_SOFTWARE
SIGNAL = 128  # plus the signal's number, as shells do: 130 SIGINT, 143 SIGTERM

_WORST_FIRST = (INTERNAL, FAILED, USAGE, MISSING, NOT_READY, UNKNOWN, VALID)

_OF_ERRORS = ((UserError, USAGE), (MissingError, MISSING), (NotReady, NOT_READY))


def get_exit_code(error: BaseException, otherwise: int = INTERNAL) -> int:
    """The code of a process that ends with this error; `otherwise` for one whose message does not say what to do."""
    return next((code for kind, code in _OF_ERRORS if isinstance(error, kind)), otherwise)


def merge(codes: Iterable[int]) -> int:
    """One code for several runs: of a signal > 70 > 1 > 64 > 69 > 3 > 2 > 0. No run at all is unknown."""
    seen = set(codes)
    if others := seen.difference(_WORST_FIRST):
        return max(others)
    return next((code for code in _WORST_FIRST if code in seen), UNKNOWN)
