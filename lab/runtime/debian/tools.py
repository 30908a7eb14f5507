"""Administration commands of an unpacked tree, as `xmpplab exec` finds them.

A folder of small scripts, first in PATH. Each starts the tree's own program with the tree's own loader. What needs more
than that (a program that knows absolute paths only) is the software's own: `Software.tools`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lab.declarations.manifest import ServerManifest
from lab.servers import software
from lab.servers.software import File, UnpackedTree

FOLDER = "xmpplab-bin"  # in the tree

_SCRIPT = """#!/bin/sh
exec {loader} --library-path {libraries} {program} "$@"
"""


def write_tools(unpacked: Path, tree: UnpackedTree, manifests: Iterable[ServerManifest]) -> None:
    """Write the commands of these softwares into a tree that lies at `unpacked` and will lie at `tree.prefix`."""
    folder = unpacked / FOLDER
    folder.mkdir()
    programs = Path("usr/bin")
    for manifest in manifests:
        plain = (name for name in manifest.tools if (unpacked / programs / name).exists())
        files = [File(name, _started(tree, Path(tree.prefix) / programs / name), 0o755) for name in plain]
        for file in (*files, *software(manifest.name).tools(tree)):
            (folder / file.path).write_text(file.text)
            (folder / file.path).chmod(file.mode)


def _started(tree: UnpackedTree, program: Path) -> str:
    return _SCRIPT.format(loader=tree.loader, libraries=tree.libraries, program=program)
