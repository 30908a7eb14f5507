"""Changes of presence, broadcast to contacts (RFC 6121 section 4.4)."""

from lab.declarations.load_kind import PRESENCE, KindOption, LoadKind, Receivers

KIND = LoadKind(
    name="presence",
    about="away and back, broadcast to contacts; with a spike of arrivals, a presence storm",
    action=PRESENCE,
    receivers=Receivers.CONTACTS,
    option=KindOption("degree", 8, "contacts of a user on average, an even number"),
    received="the user's own server has sent the presence back to them (RFC 6121 section 4.4.2)",
    once=True,
    needs_contacts=True,
)
