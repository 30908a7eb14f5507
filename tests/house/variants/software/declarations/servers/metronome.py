"""Metronome."""

from lab.declarations.manifest import ServerManifest, ServerVersion

MANIFEST = ServerManifest(
    name="metronome",
    about="Metronome from Debian trixie",
    colours=("#fff0f0", "#a00000"),
    versions=(ServerVersion("4.0", "trixie", ("metronome",)),),
    memory=30 << 20,
    socket="admin.sock",
    tools=("metronomectl",),
    not_in_image=("/etc/metronome/certs",),
)
