"""Requests for a page of the message archive (XEP-0313)."""

from lab.declarations.load_kind import LoadKind, Receivers

KIND = LoadKind(
    name="archive",
    about="request the last page of 20 messages of the archive",
    action="archive",
    receivers=Receivers.NOBODY,
    received="the page is complete and contains messages (XEP-0313); an empty one has bounced with `nothing-found`",
    needs_archive=True,
)
