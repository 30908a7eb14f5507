"""Messages to contacts."""

from lab.declarations.load_kind import MESSAGE, KindOption, LoadKind, Receivers

KIND = LoadKind(
    name="social",
    about="messages to contacts: a seeded graph of users (Holme and Kim), along links only",
    action=MESSAGE,
    receivers=Receivers.USER,
    option=KindOption("degree", 8, "contacts of a user on average, an even number"),
)
