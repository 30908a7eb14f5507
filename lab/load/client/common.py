"""What all sessions of a worker share: the load, one TLS context, and who hears of what comes."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from lab.load.client import negotiation as login
from lab.load.client.xml_stream import Element
from lab.load.model.spec import Load

if TYPE_CHECKING:
    from lab.load.client.session import Session


@dataclass
class Common:
    """Of one worker. Raises UserError for a security there is not, or an authority that is none."""

    load: Load
    on_message: Callable[[Session, str], None]  # its id, "" if it has none
    on_stanza: Callable[[Session, Element], None]  # presence, results, errors
    on_return: Callable[[Session, bool], None]  # whether it was resumed
    on_gone: Callable[[Session, str], None]
    rng: Random
    context: ssl.SSLContext | None = field(init=False)

    def __post_init__(self) -> None:
        self.context = login.context_for(self.load.security, self.load.authority)
