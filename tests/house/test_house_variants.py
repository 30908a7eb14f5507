"""One place per variant: one of each is added to a copy of the package, with exactly the files that the table of
docs/architecture.md names, and used. The variants are in the folder `variants`, as they would lie in lab/.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.house.docs import DOCS, text
from tests.house.tree import ROOT

VARIANTS = Path(__file__).parent / "variants"
DATA = ("topologies", "images", "schemas", "scenarios")


@dataclass(frozen=True)
class Edit:
    """Lines that are put behind a line of a file; the whole change of a variant to that file."""

    file: str
    behind: str
    lines: str


@dataclass(frozen=True)
class Variant:
    """A change of the table, what is edited for it, and a program that uses it in the copy."""

    change: str  # as in the table; the folder of its files in `variants`
    folder: str | None
    name: str  # of its files
    edits: tuple[Edit, ...]
    use: str


LINK_FIELD = """
    #: Seconds that each piece waits.
    stall: float = _declare(
        0.0,
        LinkField(
            read=_latency,
            write=units.format_duration,
            unit="s",
            schema=_DURATION,
            about="Time that each piece waits, with a unit: 40ms (default 0).",
            label="stall {}",
        ),
    )
"""

VARIANT_LIST = (
    Variant("a fault", "fault", "server_drowsiness", (), """
        import asyncio
        from tempfile import mkdtemp
        from types import SimpleNamespace
        from lab.report.plan_table import build_placeholder_plan
        from lab.errors import UserError
        from lab.faults import drowse
        from lab.federation import Federation
        from lab.history.recorder import Recorder
        from lab.plan.layout import Layout
        from lab.topology.files import load

        async def main():
            folder = Path(mkdtemp())
            lab = SimpleNamespace(
                plan=build_placeholder_plan(load("pair")), authority="", layout=Layout(folder / "lab")
            )
            with Recorder(folder / "history.jsonl") as recorder:
                federation = Federation(lab, recorder)
                async with federation.inject(drowse(federation.servers[0], at_least="2s")) as said:
                    assert said == f"{federation.servers[0].name} is drowsy"
                applied, healed = recorder.events
                assert dict(applied.fields) == {"server": federation.servers[0].name, "at_least": 2.0}
                assert healed.fault == "drowse"
        asyncio.run(main())
        with raises(UserError, "drowse: at_least: 3 has no unit"):
            drowse("a", at_least=3)
    """),
    Variant("an encryption", "encryption", "rot13", (), """
        import asyncio
        from xml.etree import ElementTree as ET
        from lab.clients.encryption import STRATEGIES, EncryptionSettings, create_strategy
        from lab.clients.xmpp.stanzas import CLIENT, read
        from lab.declarations.encryptions import is_end_to_end
        from lab.runtime.containers.python_libraries import ROOTS
        from lab.topology.files import load
        from lab.report.plan_table import build_placeholder_plan

        assert "rot13" in STRATEGIES and is_end_to_end("rot13") and ROOTS.count("uvloop") == 2
        strategy = create_strategy("rot13", EncryptionSettings("blind", None, {}, print))
        message = ET.Element(f"{{{CLIENT}}}message", {"from": "a@a.test/x", "id": "1"})
        ET.SubElement(message, f"{{{CLIENT}}}body").text = "hello"
        (message,) = asyncio.run(strategy.seal(message, frozenset({"b@b.test"}))).stanzas
        incoming = read(message, "b@b.test", "b@b.test/y")
        assert incoming.encrypted == "urn:example:rot13" and incoming.body is None
        assert asyncio.run(strategy.decrypt(incoming, "a@a.test")).body == "hello"
        files = build_placeholder_plan(load("mixed-pair")).servers
        assert all("{urn:example:rot13}turned" in "".join(file.text for file in server.files) for server in files)
    """),
    Variant("a server software", "software", "metronome", (), """
        from lab.report.plan_table import build_placeholder_plan, render_plan
        from lab.errors import UserError
        from lab.load.coordinator.provisioning import find_endpoints
        from lab.report.graph import GRAPH_FORMATS
        from lab.runtime import memory
        from lab.runtime.containers.image_specs import find_server_image
        from lab.runtime.debian.trees import list_packages
        from lab.topology.files import load
        from lab.topology.schema import build_schema

        topology = load("ring:3,software=metronome+prosody")
        assert [server.version for server in topology.servers] == ["4.0", "13.0", "4.0"]
        plan = build_placeholder_plan(topology)
        assert plan.servers[0].files[0].path == "metronome.cfg.lua"
        assert "metronome@4.0" in render_plan(plan) and "metronome@4.0" in str(build_schema())
        assert [one.server for one in find_endpoints(plan)] == [server.name for server in topology.servers]
        assert all("#a00000" in GRAPH_FORMATS[name].draw(topology) for name in ("svg", "dot", "mermaid"))
        assert memory.estimate_needed(topology) == (30 + 24 + 30) << 20
        assert "30 MB (metronome)" in memory.describe_needs()
        image = find_server_image("metronome", "4.0")
        assert "modules/mod_lab_feed.lua" in dict(image.files)
        assert dict(image.arguments) == {"NOT_IN_IMAGE": "/etc/metronome/certs"}
        assert "metronome" in list_packages("trixie")
        with raises(UserError, "no version '9' of metronome"):
            load("pair,software=metronome@9")
    """),
    Variant("a load kind", "load_kind", "notes", (), """
        from lab.load.kinds import build_draw
        from lab.load.model.spec import Endpoint, Load, Shard
        from lab.load.workload.traffic import parse_traffic

        endpoints = (Endpoint("a", "a.test", "127.0.0.1"),)
        load = Load(endpoints=endpoints, users=4, password="", authority="", traffic="notes")
        draw = build_draw(parse_traffic("2*notes+1*local"), load, Shard(0, 1), 1)
        drawn = [draw() for _ in range(50)]
        assert any(sender == receiver for _, sender, receiver, _ in drawn)
    """),
    Variant("a link field", None, "stall", (
        Edit("declarations/links.py", '            whole=True,\n        ),\n    )\n', LINK_FIELD),
        Edit("network/link_shaper.py", "        delay = conditions.latency\n", "        delay += conditions.stall\n"),
    ), """
        from lab.report.plan_table import build_placeholder_plan, render_plan
        from lab.declarations.links import Conditions
        from lab.errors import UserError
        from lab.faults import conditions
        from lab.network.link_shaper import LinkShaper
        from lab.network.operations import _link_fields
        from lab.plan import files
        from lab.report.graph import GRAPH_FORMATS
        from lab.topology.files import load
        from lab.topology.schema import render_schema

        path = Path("one.yaml")
        path.write_text("servers: {a: , b: }\\nlinks:\\n  - {between: [a, b], stall: 20ms, backward: {stall: 0}}\\n")
        topology = load(path)
        plan = files.load(files.dump(build_placeholder_plan(topology)))
        there, back = (relay.conditions for relay in plan.relays)
        assert (there.stall, back.stall, there.neutral, back.neutral) == (0.02, 0.0, False, True)
        assert LinkShaper(there).arrival(1.0, 100, 0.0) == 1.02
        assert "stall" in render_plan(plan) and "20ms" in render_plan(plan)
        assert "stall 20ms" in GRAPH_FORMATS["mermaid"].draw(topology) and '"stall"' in render_schema()
        assert "stall 20ms" in str([*files.find_differences(plan, build_placeholder_plan(load("pair")))])
        assert conditions(("a", "b"), stall="1s").fields["stall"] == 1.0
        assert _link_fields({"stall": 2}) == {"stall": 2.0}
        path.write_text("servers: {a: , b: }\\nlinks:\\n  - {between: [a, b], stall: 20}\\n")
        with raises(UserError, "one.yaml:3:30: links[0].stall: 20 has no unit"):
            load(path)
    """),
    Variant("a check", "check", "brevity", (
        Edit("checks/judge.py", '    "secrecy",\n', '    "brevity",\n'),
    ), """
        from lab.checks import judge
        assert "brevity" in [one.check for one in judge(a_run()).verdicts if one.judged]
    """),
    Variant("a metric", "metric", "streams", (
        Edit("metrics/__init__.py", '    "stanzas",\n', '    "streams",\n'),
    ), """
        from lab.checks import judge
        from lab.report.formats import ReportFormat, render
        assert '"streams": 0' in render(ReportFormat.JSON, a_run(), judge(a_run()))
    """),
    Variant("a verb", "verb", "greet", (
        Edit("cli/app.py", '    "sweep",\n', '    "greet",\n'),
    ), """
        from lab.cli.app import app
        from lab.cli.entry_point import run
        assert run(app, ["greet", "--help"]) == 0 and run(app, ["greet", "bob"]) == 0
    """),
    Variant("an export", "export", "lines", (
        Edit("report/formats/__init__.py", '    JSON = "json"\n', '    LINES = "lines"\n'),
    ), """
        from lab.checks import judge
        from lab.report.formats import ReportFormat, render
        assert render(ReportFormat("lines"), a_run(), judge(a_run())) == "unknown 2\\n"
    """),
)  # fmt: skip

#: What every program has: the copy as the package, a check of errors, a run.
BEFORE = """
import contextlib
from pathlib import Path
import lab
assert Path(lab.__file__).parents[1] == Path.cwd(), lab.__file__

@contextlib.contextmanager
def raises(kind, text):
    try:
        yield
    except kind as error:
        assert text in str(error), error
    else:
        raise AssertionError(f"no {kind.__name__}")

def a_run():
    from lab.report.plan_table import build_placeholder_plan
    from lab.history.events import RunEnded, RunStarted
    from lab.metrics.record import RunRecord
    from lab.topology.files import load
    events = (
        RunStarted(at=1.0, scenario="s", title="t", topology="pair", runtime="processes"),
        RunEnded(at=2.0, how="finished"),
    )
    return RunRecord(events, build_placeholder_plan(load("pair")))
"""


def table() -> dict[str, tuple[str, ...]]:
    """The table of the page: the files that a change touches, by change."""
    rows = re.findall(r"^\| (an? [^|]+) \| ([^|]+) \|$", text(DOCS / "architecture.md"), re.M)
    return {change: tuple(re.findall(r"`([^`]+)`", touches)) for change, touches in rows}


def contents(folder: Path) -> dict[str, str]:
    """The text of each file by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def copied(target: Path) -> Path:
    """A checkout with the package and what ships with it."""
    for name in ("lab", *DATA):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", target)
    return target


def add(variant: Variant, checkout: Path) -> None:
    """Add a variant's files, and its lines."""
    if variant.folder:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(VARIANTS / variant.folder, checkout / "lab", dirs_exist_ok=True, ignore=ignore)
    for edit in variant.edits:
        path = checkout / "lab" / edit.file
        before = path.read_text(encoding="utf-8")
        assert before.count(edit.behind) == 1, f"{edit.file} has not one place behind {edit.behind!r}"
        path.write_text(before.replace(edit.behind, edit.behind + edit.lines), encoding="utf-8")


def changed(checkout: Path) -> tuple[set[str], set[str]]:
    """Files of the copy that are new, and those that are longer, by their paths from the checkout."""
    before, after = contents(ROOT / "lab"), contents(checkout / "lab")
    new = {f"lab/{path}" for path in after.keys() - before.keys()}
    edited = {f"lab/{path}" for path, now in after.items() if path in before and before[path] != now}
    return new, edited


def test_the_table_names_every_change() -> None:
    assert set(table()) == {variant.change for variant in VARIANT_LIST}


@pytest.mark.parametrize("variant", VARIANT_LIST, ids=lambda variant: variant.change)
def test_a_variant_touches_what_the_table_says_and_works(variant: Variant, tmp_path: Path) -> None:
    checkout = copied(tmp_path / "checkout")
    add(variant, checkout)
    new, edited = changed(checkout)
    names = [name.replace("NAME", variant.name) for name in table()[variant.change]]
    folders = [name for name in names if name.endswith("/")]
    touched = {next((folder for folder in folders if path.startswith(folder)), path) for path in new | edited}
    assert touched == set(names)
    if "a line in" in text(DOCS / "architecture.md").partition(f"| {variant.change} |")[2].partition("\n")[0]:
        (registered,) = edited
        before, after = ((root / registered).read_text().splitlines() for root in (ROOT, checkout))
        assert [line[0] for line in difflib.ndiff(before, after) if line[0] in "+-"] == ["+"]
    done = subprocess.run(
        [sys.executable, "-c", BEFORE + _dedented(variant.use)],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def _dedented(program: str) -> str:
    return "\n".join(line.removeprefix("        ") for line in program.splitlines())
