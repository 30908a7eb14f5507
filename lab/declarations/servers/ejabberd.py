"""ejabberd, as Debian packages it."""

from lab.declarations.manifest import ServerManifest, ServerVersion

MANIFEST = ServerManifest(
    name="ejabberd",
    about="ejabberd from Debian",
    colours=("#fdebd2", "#c9730a"),
    # ejabberd brings Erlang; the C library is the one that it is linked with
    versions=(
        ServerVersion("24.12", "trixie", ("ejabberd", "libc6")),
        ServerVersion("23.01", "bookworm", ("ejabberd", "libc6")),
    ),
    memory=120 << 20,  # 108 to 116 MB resident when idle, measured
    subdomains=("conference", "upload", "pubsub"),
    socket="api.sock",
    tools=("openssl",),
    not_in_image=("/etc/ejabberd/ejabberd.pem",),
)
