"""What verbs print: results on standard output, progress and errors on standard error; plain text or JSON."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from lab.report.tables import table

if TYPE_CHECKING:
    from pathlib import Path

    from lab.load.metrics.run_folder import LoadRecord
    from lab.runner.batch import BatchCallbacks
    from lab.runner.run import RunResult
    from lab.runner.scenarios import ScenarioInfo


class Format(StrEnum):
    """For people, or for programs."""

    TABLE = "table"
    JSON = "json"


def print_json(data: object) -> None:
    """Print JSON with an indent of two."""
    print(json.dumps(data, indent=2), flush=True)


def print_rows(output: Format, rows: Sequence[dict[str, Any]], *, empty: str = "nothing") -> None:
    """Print rows with the same keys: as a table with the keys as its head, or as a JSON array."""
    if output is Format.JSON:
        print_json(rows)
    elif rows:
        print(table([key.replace("_", " ") for key in rows[0]], [[_cell(v) for v in row.values()] for row in rows]))
    else:
        print(empty)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(str(item) for item in value) or "-"
    return str(value)


@contextlib.contextmanager
def live_progress() -> Iterator[Callable[[str], None]]:
    """Progress on standard error: one changing line on a terminal, else one line for each sentence."""
    if not sys.stderr.isatty():
        yield plain_progress()
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status("…") as status:
        yield lambda text: status.update(escape(text))


def plain_progress() -> Callable[[str], None]:
    """Progress as lines on standard error, none twice in a row. Runs use it: a changing line disturbs a debugger."""
    last = ""

    def show(text: str) -> None:
        nonlocal last
        if text != last:
            print(text, file=sys.stderr, flush=True)
        last = text

    return show


def print_load(record: LoadRecord, output: Format) -> None:
    """Print the result of a load; as text its folder and the address of its page come last."""
    from lab.load.report.json import to_json
    from lab.load.report.text import render
    from lab.runner.folders import PAGE

    if output is Format.JSON:
        print_json(to_json(record))
    else:
        print(f"{render(record)}{record.folder}\n{(record.folder / PAGE).absolute().as_uri()}", flush=True)


def print_study(folder: Path, data: dict[str, Any], output: Format) -> None:
    """Print the result of a study; as text its folder and the address of its page come last."""
    from lab.load.report.study import render
    from lab.runner.folders import PAGE

    page = (folder / PAGE).absolute()
    if output is Format.JSON:
        tables = {name: data[name] for name in ("table", "correlations")}
        print_json({"folder": str(folder), "page": str(page), **tables})
    else:
        print(f"{render(data)}{folder}\n{page.as_uri()}", flush=True)


def batch_callbacks() -> BatchCallbacks:
    """Callbacks that print each result of a batch and every error, and write the reports of the runs."""
    from lab.cli.entry_point import report_error
    from lab.report.folder import write_report
    from lab.runner.batch import BatchCallbacks

    return BatchCallbacks(plain_progress(), write_report, _print_result, report_error, _print_kept)


def _print_result(info: ScenarioInfo, topology: str, result: RunResult) -> None:
    print(f"{result.value.upper()}: {info.name} on {topology}: {result.sentence}\n{result.folder}", flush=True)


def _print_kept(name: str) -> None:
    print(f"The lab is left up: look with `xmpplab status {name}`, `xmpplab logs --name {name}`.")
    print(f"End it with: xmpplab down {name}")
