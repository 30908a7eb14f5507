"""Logouts and logins."""

from lab.declarations.load_kind import KindOption, LoadKind, Receivers

KIND = LoadKind(
    name="logins",
    about="log out and in",
    action="login",
    receivers=Receivers.NOBODY,
    option=KindOption("written", 0, "1 if messages go to users who log out and in"),
    received="logged out (acknowledged, the stream closed by both sides), logged in, and announced as available",
    once=True,
    logs_out=True,
)
