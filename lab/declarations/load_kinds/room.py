"""Messages to rooms (XEP-0045)."""

from lab.declarations.load_kind import ROOM, KindOption, LoadKind, Receivers

KIND = LoadKind(
    name="room",
    about="messages to rooms; everybody is in one, on their own server or on a linked one",
    action=ROOM,
    receivers=Receivers.ROOM,
    option=KindOption("size", 50, "members of a room"),
    once=True,
)
