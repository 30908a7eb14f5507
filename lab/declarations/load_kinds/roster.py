"""Requests for the roster, and changes of it (RFC 6121 section 2)."""

from lab.declarations.load_kind import LoadKind, Receivers

KIND = LoadKind(
    name="roster",
    about="request the roster; each second time of a user, give a contact another name",
    action="roster",
    receivers=Receivers.NOBODY,
    received="the result has exactly the contacts of the user; another one has bounced with `wrong-roster`",
    needs_contacts=True,
)
