"""ejabberd, as Debian packages it."""

from lab.declarations.features import Support
from lab.declarations.manifest import ServerManifest, ServerVersion

#: Raw settings that no topology may change: where the server is, what it stores and whom it lets in is the lab's.
_RESERVED = """
    acl auth_method auth_password_format auth_use_cache ca_file certfiles default_db define_macro hosts
    include_config_file listen s2s_cafile
"""

MANIFEST = ServerManifest(
    name="ejabberd",
    about="ejabberd from Debian",
    colours=("#fdebd2", "#c9730a"),
    # ejabberd brings Erlang; the C library is the one that it is linked with
    versions=(
        ServerVersion("24.12", "trixie", ("ejabberd", "libc6")),
        ServerVersion(
            "23.01",
            "bookworm",
            ("ejabberd", "libc6"),
            {"moderation": Support(fixed="XEP-0425 came with a later version")},
        ),
    ),
    memory=120 << 20,  # 108 to 116 MB resident when idle, measured
    subdomains=("conference", "upload", "pubsub"),
    features={
        "anonymous": Support(),
        "bidi": Support(fixed="with its mod_s2s_bidi each direction still had a stream of its own"),
        "component": Support(),
        "encrypted-messages": Support(usual=True),
        "mam": Support(usual=True),
        "moderation": Support(usual=True, fixed="its rooms (mod_muc) have XEP-0425 built in"),
        "open-pep": Support(usual=True),
        "pep": Support(usual=True),
        "pubsub": Support(usual=True, fixed="PEP is the same module (mod_pubsub)"),
        "websocket": Support(),
    },
    reserved_options=tuple(_RESERVED.split()),
    reserved_prefix="mod_lab_",
    socket="api.sock",
    tools=("openssl",),
    not_in_image=("/etc/ejabberd/ejabberd.pem",),
)
