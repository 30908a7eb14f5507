"""Server software by name. A new software is a new folder here and one line in `_ALL`.

Rules: nothing in lab/servers does input or output; everything is text, commands and operations as data.
"""

from __future__ import annotations

from lab.errors import UserError
from lab.servers.custom import CUSTOM
from lab.servers.ejabberd import EJABBERD
from lab.servers.external import EXTERNAL
from lab.servers.prosody import PROSODY
from lab.servers.scripted import SCRIPTED
from lab.servers.software import Software

_ALL: dict[str, Software] = {each.name: each for each in (PROSODY, EJABBERD, CUSTOM, EXTERNAL, SCRIPTED)}


def names() -> tuple[str, ...]:
    """Names of all software, as in `software:` of a topology."""
    return tuple(_ALL)


def software(name: str) -> Software:
    """The software of that name. Raises UserError if there is none."""
    try:
        return _ALL[name]
    except KeyError:
        raise UserError(f"there is no server software {name!r}; choose one of {', '.join(_ALL)}") from None
