"""What both benchmarks of starting compare with: the servers of a lab as somebody would run them by hand.

The same configuration files without what is the lab's own: its modules, its pace of garbage collection.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from dataclasses import replace

from lab.plan.layout import Layout
from lab.plan.model import Plan
from lab.runtime import lab_record as state
from lab.runtime import server_files as folders
from lab.servers.software import File
from lab.system.processes import Identity

_MODULES = re.compile(r'"lab_\w+"; ')
_PACE = re.compile(r"^gc = .*\n", re.MULTILINE)


def written(layout: Layout, plan: Plan, *, tuned: bool = False) -> Plan:
    """Write the servers' folders, and return what is in them; `tuned` keeps the pace."""
    me = Identity.of(os.getpid())
    assert me is not None
    record = state.LabRecord(layout.name, plan.topology.name, plan.facts.runtime, state.STARTING, True, me, time.time())
    record.write(layout)  # so that `sweep` finds what a killed benchmark leaves
    bare = _bare(plan, tuned)
    folders.make_servers(layout, bare)
    asyncio.run(folders.write_servers(layout, bare, folders.generate_secret(layout)[1]))
    return bare


def _bare(plan: Plan, tuned: bool) -> Plan:
    def stripped(file: File) -> File:
        text = _MODULES.sub("", file.text)
        return replace(file, text=text if tuned else _PACE.sub("", text))

    return replace(plan, servers=tuple(replace(one, files=tuple(map(stripped, one.files))) for one in plan.servers))
