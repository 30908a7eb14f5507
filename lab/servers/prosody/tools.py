"""`render_prosodyctl` of an unpacked tree, as `xmpplab exec` finds it.

The program knows paths below / only, so it is read with its paths rewritten; it uses the configuration of the
server in whose folder it is started.
"""

from __future__ import annotations

from lab.servers.prosody.config import CONFIGURATION
from lab.servers.software import File, UnpackedTree

_NAME = "prosodyctl"
_LAUNCHER = f"{_NAME}.lua"

_SCRIPT = f"""#!/bin/sh
exec {{loader}} --library-path {{libraries}} {{prefix}}/usr/bin/lua5.4 {{tools}}/{_LAUNCHER} --config "$PWD/{CONFIGURATION}" "$@"
"""  # noqa: E501 - a line of a script

_LUA = f"""-- The tree's {_NAME}, with the absolute paths in it below the tree.
local prefix = "{{prefix}}";
local path = prefix .. "/usr/bin/{_NAME}";
local file = assert(io.open(path));
local source = file:read "a":gsub("^#![^\\n]*", "--"):gsub("(CFG_%u+=')(/)", "%1" .. prefix:gsub("%%", "%%%%") .. "%2");
file:close();
assert(load(source, "@" .. path))(...);
"""


def render_prosodyctl(tree: UnpackedTree) -> tuple[File, ...]:
    """The command, and the Lua file that it runs."""
    values = vars(tree)
    return (
        File(_LAUNCHER, _LUA.format(**values), 0o644),
        File(_NAME, _SCRIPT.format(**values), 0o755),
    )
