"""A raw server-to-server peer in Python (`software: scripted`)."""

from lab.declarations.manifest import Accounts, ServerManifest, StartedBy

MANIFEST = ServerManifest(
    name="scripted",
    about="a server that is a script: raw stanzas, good or bad behaviour",
    colours=("#d9f2e6", "#1f8a5b"),
    started_by=StartedBy.SCRIPT,
    accounts=Accounts.NONE,
    instrumented=False,
)
