"""A lab for tests of what joins it: its service is real, its servers send back what they get on port 5269."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.network.authority import Authority
from lab.plan.client_view import build_client_view
from lab.plan.layout import Layout
from lab.plan.model import Plan
from lab.runtime.lab_record import READY, LabRecord
from lab.runtime.server_files import generate_secret
from lab.system.processes import Identity
from tests.network import labs

MODULE = "lab.lifecycle.client_namespace"
NAME = "joined"


@contextmanager
def joined_lab(home: Path) -> Iterator[tuple[Layout, Plan]]:
    """A lab that is up, in the home folder `home`."""
    plan = labs.plan(command=labs.ECHOING)
    layout = labs.folder(home / "labs" / NAME, plan)
    Authority.create(layout.authority)
    generate_secret(layout)
    layout.clients.write_text(build_client_view(NAME, plan).dump())
    LabRecord(NAME, "pair", "processes", READY, False, Identity.own(), 0.0).write(layout)
    with labs.service(layout):
        yield layout, plan


def join(*words: str, python: str = sys.executable, **options: Any) -> subprocess.Popen[str]:
    """The module as a process, with these arguments."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([python, "-P", "-m", MODULE, NAME, *words], **{**pipes, **options})
