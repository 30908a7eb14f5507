"""What several kinds of server software share: how they are started, and what their logs show."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Runs what follows it so that all files it makes are its owner's alone. Servers do not see to that themselves:
#: Prosody 13.0 in the foreground ignores its `umask`, ejabberd has no such option.
PRIVATELY = ("/bin/sh", "-c", 'umask 077 && exec "$@"', "sh")

#: What log lines of any server (or of the loader that starts it) betray of a failed start.
_HINTS = (
    (r"address (?:is )?already in use|eaddrinuse", "another program already listens on one of its addresses"),
    (r"cannot assign requested address|eaddrnotavail", "its address does not exist on this machine or network"),
    (r"cannot allocate memory|out of memory|enomem|eheap_alloc|not enough memory", "the machine has too little memory"),
    (r"no space left on device|enospc", "the disk is full"),
    (r"too many open files|emfile", "too many files are open: raise the limit (ulimit -n)"),
    (r"permission denied|eacces", "it may not read or write one of its files, or not use a port below 1024"),
    (r"error while loading shared libraries|no such file.*ld-linux", "its unpacked packages are incomplete"),
)


def find_hint(log: Sequence[str], special: Sequence[tuple[str, str]] = ()) -> str | None:
    """The cause of the first pattern (its own ones first) that a log line matches, else None."""
    text = "\n".join(log)
    for pattern, cause in (*special, *_HINTS):
        if re.search(pattern, text, re.IGNORECASE):
            return cause
    return None
