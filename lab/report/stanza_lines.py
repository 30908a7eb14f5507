"""Stanzas and streams that servers reported as lines of text, one each."""

from __future__ import annotations

import time

from lab.history.events import ServerSaw, ServerStreamClosed, ServerStreamOpened
from lab.metrics.stanza_content import describe_content


def render_line(event: ServerSaw | ServerStreamOpened | ServerStreamClosed, width: int = 0) -> str:
    """What a server reported: time, server and stream, then what it is; server names are padded to `width`."""
    moment = f"{time.strftime('%H:%M:%S', time.localtime(event.at))}.{int(event.at % 1 * 1000):03}"
    arrow = "<-" if event.direction == "in" else "->"
    start = f"{moment}  {event.server:<{width}} {arrow} {event.stream}  "
    return start + (_render_stanza(event) if isinstance(event, ServerSaw) else _render_stream(event))


def _render_stream(event: ServerStreamOpened | ServerStreamClosed) -> str:
    peer = event.peer or "somebody"
    if isinstance(event, ServerStreamOpened):
        return f"stream with {peer}: {event.tls or 'no TLS'}, {event.authentication or 'not authenticated'}"
    why = " ".join(part for part in (event.condition, f"({event.text})" if event.text else "") if part)
    return f"stream with {peer} ended" + (f": {why}" if why else "")


def _render_stanza(event: ServerSaw) -> str:
    kind = f"{event.name} {event.type}" if event.type else event.name
    ends = " > ".join(end for end in (event.sender, event.receiver) if end)
    return " ".join(part for part in (kind, ends, f"{event.size} B", describe_content(event)) if part)
