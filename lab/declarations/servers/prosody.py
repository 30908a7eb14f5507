"""Prosody, as Debian packages it."""

from lab.declarations.features import Support
from lab.declarations.manifest import ServerManifest, ServerVersion

#: Raw settings that no topology may change: where the server is, what it stores and whom it lets in is the lab's.
_RESERVED = """
    admin_socket authentication certificates daemonize data_path interfaces log pidfile plugin_paths
    run_as_root ssl storage unbound use_ipv6
"""

#: Words of Lua, in which the file is written.
_LUA = """
    and break do else elseif end false for function goto if in local nil not or repeat return then true
    until while
"""

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
    features={
        "anonymous": Support(subdomain="anonymous"),
        "bidi": Support(),
        "component": Support(),
        "encrypted-messages": Support(usual=True),
        "mam": Support(usual=True),
        "moderation": Support(fixed="XEP-0425 is a community module (mod_muc_moderation), which is not in its package"),
        "open-pep": Support(usual=True),
        "pep": Support(usual=True),
        "pubsub": Support(),
        "websocket": Support(),
    },
    reserved_options=tuple((_RESERVED + _LUA).split()),
    socket="admin.sock",
    tools=("lua5.4", "openssl", "unbound-host"),
    not_in_image=("/etc/prosody/certs",),
)
