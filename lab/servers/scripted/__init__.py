"""A raw server-to-server peer that a script controls (lab/clients/scripted_peer.py): no process of its own.

It has a domain, an address, a certificate in its folder, names and relays like any server; what listens there is
there as long as the script wants. Nobody can ping it before, so its edges are not probed: they are *unknown*.
"""

from __future__ import annotations

from lab.servers.external import External


class Scripted(External):
    """`software: scripted`: as little to render, start and observe as for a server that the person runs."""

    name = "scripted"


SOFTWARE = Scripted()
