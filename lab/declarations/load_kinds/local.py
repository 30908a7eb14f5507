"""Messages within a server."""

from lab.declarations.load_kind import MESSAGE, LoadKind, Receivers

KIND = LoadKind(
    name="local",
    about="messages within a server",
    action=MESSAGE,
    receivers=Receivers.USER,
)
