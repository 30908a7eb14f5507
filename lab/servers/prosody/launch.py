"""The command that runs Prosody: the installed one, or the one of a tree of unpacked packages.

Debian's `prosody` has absolute paths in it. The lab's modules/launch.lua runs the tree's own copy with those paths
below XMPPLAB_PREFIX; the interpreter is started by the tree's own loader, so that no library of the machine is used.
"""

from __future__ import annotations

from lab.servers.common import PRIVATELY
from lab.servers.prosody.config import CONFIGURATION
from lab.servers.software import Blueprint

#: Name of the dynamic loader by the first word of the multiarch triplet.
_LOADERS = {
    "x86_64": "ld-linux-x86-64.so.2",
    "aarch64": "ld-linux-aarch64.so.1",
    "arm": "ld-linux-armhf.so.3",
    "i386": "ld-linux.so.2",
    "riscv64": "ld-linux-riscv64-lp64d.so.1",
    "powerpc64le": "ld64.so.2",
    "s390x": "ld64.so.1",
}


def build_command(blueprint: Blueprint) -> tuple[str, ...]:
    """Runs in the foreground, configured by the file in the server's folder."""
    arguments = ("-F", "--config", f"{blueprint.folder}/{CONFIGURATION}")
    if not blueprint.prefix:
        return (*PRIVATELY, "prosody", *arguments)
    libraries = _libraries(blueprint)
    loader = _LOADERS[blueprint.libraries.split("-", maxsplit=1)[0]]
    lua = f"{blueprint.prefix}/usr/bin/lua5.4"
    launcher = f"{blueprint.modules}/launch.lua"
    return (*PRIVATELY, f"{libraries}/{loader}", "--library-path", libraries, lua, launcher, *arguments)


def build_environment(blueprint: Blueprint) -> tuple[tuple[str, str], ...]:
    """Where an unpacked tree has its Lua files and OpenSSL's settings; installed, the configuration of `prosodyctl`."""
    if not blueprint.prefix:
        return (("PROSODY_CONFIG", f"{blueprint.folder}/{CONFIGURATION}"),)
    prefix, libraries = blueprint.prefix, _libraries(blueprint)
    share = f"{prefix}/usr/share/lua/5.4"
    return (
        ("XMPPLAB_PREFIX", prefix),
        ("LUA_PATH_5_4", f"{share}/?.lua;{share}/?/init.lua"),
        ("LUA_CPATH_5_4", f"{libraries}/lua/5.4/?.so"),
        ("OPENSSL_CONF", f"{prefix}/etc/ssl/openssl.cnf"),
        ("OPENSSL_MODULES", f"{libraries}/ossl-modules"),
        ("OPENSSL_ENGINES", f"{libraries}/engines-3"),
        ("SSL_CERT_FILE", f"{blueprint.folder}/certs/authority.pem"),
        ("LC_ALL", "C.UTF-8"),
    )


def _libraries(blueprint: Blueprint) -> str:
    return f"{blueprint.prefix}/usr/lib/{blueprint.libraries}"
