"""Prosody, as Debian packages it."""

from lab.declarations.manifest import ServerManifest, ServerVersion

MANIFEST = ServerManifest(
    name="prosody",
    about="Prosody from Debian",
    colours=("#dbe9fb", "#2f6fbf"),
    # libunbound's binding for its DNS, and Lua with the C library that it is linked with
    versions=(
        ServerVersion("13.0", "trixie", ("prosody", "lua-unbound", "lua5.4", "libc6")),
        ServerVersion("0.12", "bookworm", ("prosody", "lua-unbound", "lua5.4", "libc6")),
    ),
    default=True,
    two_certificates=True,
    memory=24 << 20,  # 20 MB resident when idle, measured
    subdomains=("conference", "upload"),
    socket="admin.sock",
    tools=("lua5.4", "openssl", "unbound-host"),
    not_in_image=("/etc/prosody/certs",),
)
