"""Client programs that the lab can fetch, configure and open: one file each."""

from __future__ import annotations

from lab.errors import UserError
from lab.lifecycle.programs.converse import Converse
from lab.lifecycle.programs.dino import Dino
from lab.lifecycle.programs.gajim import Gajim
from lab.lifecycle.programs.go_sendxmpp import GoSendxmpp
from lab.lifecycle.programs.mcabber import Mcabber
from lab.lifecycle.programs.pidgin import Pidgin
from lab.lifecycle.programs.profanity import Profanity
from lab.lifecycle.programs.program import ClientProgram

PROGRAMS: dict[str, ClientProgram] = {
    one.name: one for one in (Dino(), Gajim(), Pidgin(), Profanity(), Mcabber(), GoSendxmpp(), Converse())
}


def find_client(name: str) -> ClientProgram:
    """The client program of that name. Raises UserError if there is none."""
    try:
        return PROGRAMS[name.lower()]
    except KeyError:
        raise UserError(f"there is no client {name!r}: choose one of {', '.join(PROGRAMS)}") from None
