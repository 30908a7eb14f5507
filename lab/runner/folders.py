"""The folder of a run: runs/<time>-<scenario>-<topology>/, and `latest` beside it.

topology.json plan.json   what was asked for, and exactly what it meant
history.jsonl             what happened (0600: whole stanzas)
verdict.json report.txt   the verdict, and the report as text
page.html                 the report as a page
logs/<server>/            the servers' logs, where the run was not valid
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from lab.errors import UserError
from lab.plan import files
from lab.plan.model import Plan
from lab.system.files import write_private

RUNS = Path("runs")
LATEST = "latest"
HISTORY = "history.jsonl"
TOPOLOGY = "topology.json"
PLAN = "plan.json"
VERDICT = "verdict.json"
REPORT = "report.txt"
PAGE = "page.html"  # of a run, a load or a study
LOGS = "logs"

# Bytes copied of a log: its end explains a failure, and a failing server can write gigabytes.
LOG_TAIL = 4 << 20


def check(runs: Path) -> None:
    """Raises UserError if no run's folder could be made below `runs`. Makes nothing: the lab is not up yet."""
    there = runs.absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise UserError(f"{there} is where the runs' folders must be: move it away, or choose another with --runs")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{there} cannot be written to: choose another folder for runs with --runs")
    _check_latest(runs / LATEST)


def make(runs: Path, scenario: str, topology: str) -> Path:
    """A new folder for a run, 0700, below `runs`; `latest` is a link to it when this returns. Raises UserError."""
    check(runs)
    runs.mkdir(parents=True, exist_ok=True)
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{_file_name(scenario)}-{_file_name(topology)}"
    for number in range(1, 1000):
        folder = runs / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        _set_link(runs / LATEST, folder.name)
        return folder
    raise UserError(f"{runs / name}: a thousand runs in one second: choose another folder for runs")


def find(run: Path | None, files: Iterable[str] = (HISTORY,), runs: Path = RUNS) -> Path:
    """The folder of a run: `run` itself, one of that name below `runs`, or the latest. Raises UserError.

    It has one of the files `files`: a run its history, a load or a study others.
    """
    if run is None:
        if not (runs / LATEST).exists():
            raise UserError(f"{runs.absolute()}: no run yet: xmpplab run SCENARIO -t TOPOLOGY makes one")
        places = [(runs / LATEST).resolve()]
    else:
        places = [run, runs / run]
    for folder in places:
        if any((folder / name).is_file() for name in files):
            return folder
    if run is not None and not any(one.exists() for one in places):
        raise UserError(f"{run}: there is no such folder, nor one of that name in {runs.absolute()}")
    hint = "" if len([*files]) > 1 else ". For a load or a study use `xmpplab report`"
    raise UserError(f"{places[0]}: not the folder of a run: it has no {' or '.join(files)}{hint}")


def read_plan(folder: Path) -> Plan:
    """The plan of the lab that a run or a load used, from its folder. Raises UserError if there is none."""
    path = folder / PLAN
    try:
        return files.read(path)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: there is no plan: give the folder of a run or of a load") from None


def write(path: Path, text: str) -> None:
    """Write a file of a run, 0600, whole or not at all. Raises UserError if there is a folder of its name."""
    try:
        write_private(path, text)
    except IsADirectoryError:
        raise UserError(f"{path}: is to be a file, and is a folder: move it away") from None


def copy_logs(folder: Path, logs: Mapping[str, Iterable[Path]]) -> None:
    """Copy the end of each log into the run's folder, by server name; a log that is not there is left out."""
    for server, paths in logs.items():
        target = folder / LOGS / server
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in paths:
            if path.is_file():
                with path.open("rb") as file:
                    file.seek(max(0, path.stat().st_size - LOG_TAIL))
                    write(target / path.name, file.read().decode(errors="replace"))


def _set_link(link: Path, target: str) -> None:
    """Make a symbolic link to `target`; at no time is there none."""
    part = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    part.symlink_to(target)
    part.replace(link)


def _check_latest(link: Path) -> None:
    if os.path.lexists(link) and not link.is_symlink():
        raise UserError(f"{link}: not a link to the latest run: move it away")


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "x"
