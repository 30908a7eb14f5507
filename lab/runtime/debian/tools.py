"""Administration commands of an unpacked tree (`prosodyctl`, `lua5.4`, `openssl`), as they are found by `exec`.

A folder of small scripts, first in PATH. Each starts the tree's own program with the tree's own loader; as the
programs know paths below / only, `prosodyctl` is read with its paths rewritten, and is told the configuration of
the server in whose folder it is started.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = "xmpplab-bin"  # in the tree
_LUA = "lua5.4"
_PLAIN = (_LUA, "openssl", "unbound-host")

_SCRIPT = """#!/bin/sh
exec {loader} --library-path {libraries} {program} "$@"
"""

_PROSODYCTL = """#!/bin/sh
exec {loader} --library-path {libraries} {program} {launcher} --config "$PWD/prosody.cfg.lua" "$@"
"""

_LAUNCHER = """-- The tree's prosodyctl, with the absolute paths in it below the tree.
local prefix = "{prefix}";
local path = prefix .. "/usr/bin/prosodyctl";
local file = assert(io.open(path));
local source = file:read "a":gsub("^#![^\\n]*", "--"):gsub("(CFG_%u+=')(/)", "%1" .. prefix:gsub("%%", "%%%%") .. "%2");
file:close();
assert(load(source, "@" .. path))(...);
"""


def write_tools(tree: Path, final: Path, libraries: Path, loader: str) -> None:
    """Write the scripts into a tree that will lie at `final`."""
    folder = tree / FOLDER
    folder.mkdir()
    values = {"loader": libraries / loader, "libraries": libraries, "prefix": final}
    for name in _PLAIN:
        if (tree / "usr" / "bin" / name).exists():
            _script(folder / name, _SCRIPT.format(program=final / "usr" / "bin" / name, **values))
    if (tree / "usr" / "bin" / "prosodyctl").exists():
        launcher = "prosodyctl.lua"
        (folder / launcher).write_text(_LAUNCHER.format(**values))
        program = final / "usr" / "bin" / _LUA
        text = _PROSODYCTL.format(program=program, launcher=final / FOLDER / launcher, **values)
        _script(folder / "prosodyctl", text)


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
