"""A server that a person runs, in a debugger for instance (`software: external`)."""

from lab.declarations.manifest import Accounts, ServerManifest, StartedBy

MANIFEST = ServerManifest(
    name="external",
    about="a server that you run yourself, in a debugger for instance",
    colours=("#e9ebee", "#6a737d"),
    started_by=StartedBy.PERSON,
    accounts=Accounts.NONE,
    instrumented=False,
)
