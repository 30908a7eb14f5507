"""Messages over links between servers."""

from lab.declarations.load_kind import MESSAGE, LoadKind, Receivers

KIND = LoadKind(
    name="neighbours",
    about="messages over a link",
    action=MESSAGE,
    receivers=Receivers.USER,
)
