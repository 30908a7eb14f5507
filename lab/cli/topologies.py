"""`xmpplab topologies`: the topologies that ship with the lab, each with a sentence about what it teaches."""

from __future__ import annotations

from lab.cli.options import FormatOption
from lab.cli.output import Format, print_rows
from lab.topology.spec import Server


def _software(server: Server) -> str:
    return f"{server.software_name}@{server.version}" if server.version else server.software_name


def topologies(output: FormatOption = Format.TABLE) -> None:
    """List the topologies of xmpplab, and what each teaches."""
    from lab.packaged import list_names
    from lab.topology.files import load

    found = [(name, load(name)) for name in list_names("topologies", ".yaml")]
    print_rows(
        output,
        [
            {
                "topology": name,
                "servers": len(one.servers),
                "links": len(one.links),
                "software": ", ".join(dict.fromkeys(_software(server) for server in one.servers)),
                "teaches": one.teaches,
            }
            for name, one in found
        ],
    )
