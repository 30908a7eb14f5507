"""Messages to oneself."""

from lab.declarations.load_kind import MESSAGE, LoadKind, Receivers

KIND = LoadKind(name="notes", about="messages to oneself", action=MESSAGE, receivers=Receivers.USER)
