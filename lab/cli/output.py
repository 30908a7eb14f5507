"""What verbs print: results on standard output, progress and errors on standard error; plain text or JSON."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from lab.errors import UserError
from lab.system.tables import format_table, get_terminal_width, wrap_text
from lab.system.terminal import escape_unprintable

if TYPE_CHECKING:
    from pathlib import Path

    from lab.checks import Judgement
    from lab.load.metrics.run_folder import LoadRecord
    from lab.metrics.record import RunRecord
    from lab.plan.client_view import Account
    from lab.plan.layout import Layout
    from lab.runner.batch import BatchCallbacks
    from lab.runner.run import RunResult
    from lab.runner.scenarios import ScenarioInfo


class Format(StrEnum):
    """Output for people, or for programs."""

    TABLE = "table"
    JSON = "json"


#: Colours of verdicts on a terminal (SGR): green, red, yellow.
_COLOURS = {"VALID": 32, "FAILED": 31, "UNKNOWN": 33, "SKIPPED": 33}


_VERDICT = re.compile(rf"^({'|'.join(_COLOURS)})(?=:)", re.MULTILINE)


def print_text(text: object = "", *, error: bool = False, end: str = "\n", verdicts: bool = False) -> None:
    """Print on standard output, or standard error, what may quote others: what would act on a terminal is escaped.

    With `verdicts` a verdict at the beginning of a line has its colour on a terminal, unless NO_COLOR is set
    (no-color.org).
    """
    stream = sys.stderr if error else sys.stdout
    coloured = verdicts and stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    print((_colour if coloured else str)(escape_unprintable(str(text))), file=stream, end=end, flush=True)


def print_line(text: str, then: int) -> None:
    """Print one line on standard output: wrapped between words on a terminal, `then` spaces before what follows.

    Elsewhere it stays one line, for programs that search it.
    """
    if sys.stdout.isatty():
        text = "\n".join(wrap_text(text, then=" " * then))
    print_text(text)


def _colour(text: str) -> str:
    return _VERDICT.sub(lambda found: f"\x1b[1;{_COLOURS[found[1]]}m{found[1]}\x1b[0m", text)


def print_json(data: object) -> None:
    """Print JSON with an indent of two."""
    print_text(json.dumps(data, indent=2))


def print_rows(output: Format, rows: Sequence[dict[str, Any]], *, empty: str = "nothing") -> None:
    """Print rows with the same keys: as a table with the keys as its head, or as a JSON array."""
    if output is Format.JSON:
        print_json(rows)
    elif rows:
        head = [key.replace("_", " ") for key in rows[0]]
        print_text(format_table(head, [[_cell(value) for value in row.values()] for row in rows]))
    else:
        print_text(empty)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(str(item) for item in value) or "-"
    return str(value)


def check_writable(*files: Path | None) -> None:
    """Raise UserError where a file that is asked for cannot be written, before hours are spent on what goes into it."""
    for file in filter(None, files):
        if file.is_dir() or not file.parent.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
            raise UserError(f"{file}: cannot be written: give a file in a folder that exists and is yours")


def write_output(file: Path, content: str | bytes, *, private: bool = False) -> None:
    """Write a file that was asked for. Raises UserError if that is not possible.

    With `private` a new file can be read by its owner alone: whole stanzas are in it.
    """
    data = content if isinstance(content, bytes) else content.encode(errors="backslashreplace")
    try:
        with open(file, "wb", opener=lambda path, flags: os.open(path, flags, 0o600 if private else 0o666)) as stream:
            stream.write(data)
    except OSError as error:
        raise UserError(f"{file}: cannot be written: {error.strerror}") from None


def print_client_lines(layout: Layout, account: Account) -> None:
    """Print the command of each client that logs in with this account. Not wrapped: they are to be copied."""
    from lab.lifecycle.accounts import list_accounts, read_view
    from lab.lifecycle.client_lines import list_client_lines

    there = list_accounts(layout, read_view(layout))
    other = next((one for one in there if one.server.name != account.server.name), account)
    lines = list_client_lines(layout.name, account, other.jid)
    print_text("".join(f"\n# {name}\n{line}\n" for name, line in lines), end="")


@contextlib.contextmanager
def show_progress() -> Iterator[Callable[[str], None]]:
    """Progress on standard error: one changing line on a terminal, else one line for each sentence."""
    if not sys.stderr.isatty():
        yield make_plain_progress()
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status("…") as status:
        yield lambda text: status.update(escape(escape_unprintable(text)))


def make_plain_progress() -> Callable[[str], None]:
    """Progress as lines on standard error, none twice in a row. Runs use it: a changing line disturbs a debugger."""
    last = ""

    def show(text: str) -> None:
        nonlocal last
        if text != last:
            print_text("\n".join(wrap_text(text, then="  ")), error=True)
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
        print_text(f"{render(record)}{record.folder}\n{(record.folder / PAGE).absolute().as_uri()}", verdicts=True)


def print_study(folder: Path, data: dict[str, Any], output: Format) -> None:
    """Print the result of a study; as text its folder and the address of its page come last."""
    from lab.load.report.study import render
    from lab.runner.folders import PAGE

    page = (folder / PAGE).absolute()
    if output is Format.JSON:
        tables = {name: data[name] for name in ("runs", "table", "correlations")}
        print_json({"folder": str(folder), "page": str(page), **tables})
    else:
        print_text(f"{render(data)}{folder}\n{page.as_uri()}")


def print_address(page: Path, output: Format = Format.TABLE) -> None:
    """Print the address of a page that was written; beside JSON on standard error, which programs do not read."""
    print_text(page.absolute().as_uri(), error=output is Format.JSON)


def open_page(page: Path) -> None:
    """Open a page in the reader's browser, and print its address: where there is no browser, that is what is left."""
    import webbrowser

    address = page.absolute().as_uri()
    print_text(address)
    try:
        opened = webbrowser.open(address)
    except webbrowser.Error:
        opened = False
    if not opened:
        said = "No browser could be started: open the address above in one, or name one with BROWSER."
        print_text("\n".join(wrap_text(said)), error=True)


def make_batch_callbacks(
    report_error: Callable[[Exception], int], told: list[dict[str, Any]] | None = None
) -> BatchCallbacks:
    """Callbacks that print each result of a batch and every error, and write the reports of the runs.

    With `told` results are added to it, as in their JSON reports, instead of being printed.
    """
    from lab.metrics.tables import tables
    from lab.report.formats.json import to_json
    from lab.report.html.run_files import write_reports
    from lab.runner.batch import BatchCallbacks
    from lab.runner.tables import render_table

    def report(folder: Path, record: RunRecord, judgement: Judgement) -> None:
        write_reports(folder, record, judgement)
        if told is not None:
            told.append({"folder": str(folder), **to_json(record, judgement)})
            return
        for table in tables(record):
            print_text(f"\n{render_table(table, get_terminal_width())}")

    on_result = _print_result if told is None else _print_nothing
    on_kept = partial(_print_kept, error=told is not None)
    return BatchCallbacks(make_plain_progress(), report, on_result, report_error, on_kept)


def _print_nothing(info: ScenarioInfo, topology: str, result: RunResult) -> None:
    """What there is to say is printed at the end."""


def _print_result(info: ScenarioInfo, topology: str, result: RunResult) -> None:
    """Print the verdict and the folder; of a run that was not valid also the address of its page, which explains it."""
    from lab.runner.folders import PAGE

    said = wrap_text(f"{result.value.upper()}: {info.name} on {topology}: {result.sentence}", then="  ")
    page = result.folder / PAGE
    shown = [page.absolute().as_uri()] if result.exit_code and not result.skipped and page.is_file() else []
    print_text("\n".join([*said, str(result.folder), *shown]), verdicts=True)


def _print_kept(name: str, *, error: bool) -> None:
    said = f"The lab is still up: inspect it with `xmpplab status {name}` and `xmpplab logs --name {name}`."
    print_text("\n".join(wrap_text(said, then="  ")), error=error)
    print_text(f"End it with: xmpplab down {name}", error=error)
