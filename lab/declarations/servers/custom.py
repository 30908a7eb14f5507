"""A server that the lab does not know, described by a file of the user's (`software: ./mine.yaml`)."""

from lab.declarations.manifest import Accounts, ServerManifest

MANIFEST = ServerManifest(
    name="custom",
    about="a server of your own, described in a file",
    colours=("#ebe2fa", "#7a4fc0"),
    described=True,
    accounts=Accounts.LISTED,
    instrumented=False,
    memory=64 << 20,
)
