"""The verbs validate and graph as people see them: what is printed where, and the exit code."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from lab.cli.graph import graph
from lab.cli.validate import validate
from lab.errors import UserError
from lab.report.graph import GRAPH_FORMATS
from lab.topology.files import load

RUNNER = CliRunner()


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command()(validate)
    app.command()(graph)
    return app


def test_a_line_for_each_good_topology() -> None:
    result = RUNNER.invoke(_app(), ["validate", "hidden-island", "ring:3"])
    assert result.exit_code == 0 and result.stderr == ""
    assert result.stdout.splitlines() == [
        "hidden-island: 3 servers, 2 links, unlinked nxdomain, prosody 13.0, ejabberd 24.12",
        "ring-3: 3 servers, 3 links, unlinked not-allowed, prosody 13.0",
    ]


def test_all_errors_of_all_topologies(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("servers: {a: {usres: 1}}\nlinks: [{between: [a, b]}]\n")
    result = RUNNER.invoke(_app(), ["validate", str(bad), "hidden-island", "ring:2"])
    assert result.exit_code == 64
    assert result.stdout.startswith("hidden-island: ") and len(result.stdout.splitlines()) == 1
    told = result.stderr.splitlines()
    assert [line.split(": ")[0] for line in told] == [f"{bad}:1:15", f"{bad}:2:23", "'ring:2':6"]


@pytest.mark.parametrize("kind", GRAPH_FORMATS)
def test_graph_prints_each_drawing(kind: str) -> None:
    option = [] if kind == "terminal" else [f"--{kind}"]
    result = RUNNER.invoke(_app(), ["graph", "hidden-island", *option])
    assert result.exit_code == 0
    assert result.stdout == GRAPH_FORMATS[kind].draw(load("hidden-island"))


@pytest.mark.parametrize(
    ("name", "kind"), [("g.svg", "svg"), ("g.dot", "dot"), ("g.mmd", "mermaid"), ("g", "terminal")]
)
def test_a_file_is_drawn_by_its_suffix(name: str, kind: str, tmp_path: Path) -> None:
    result = RUNNER.invoke(_app(), ["graph", "pair", "-o", str(tmp_path / name)])
    assert result.exit_code == 0 and result.stdout == ""
    assert (tmp_path / name).read_text() == GRAPH_FORMATS[kind].draw(load("pair"))


def test_an_option_goes_before_the_suffix(tmp_path: Path) -> None:
    RUNNER.invoke(_app(), ["graph", "pair", "--dot", "-o", str(tmp_path / "g.svg")])
    assert (tmp_path / "g.svg").read_text().startswith("graph ")


def test_two_drawings_or_no_folder_are_said(tmp_path: Path) -> None:
    two = RUNNER.invoke(_app(), ["graph", "pair", "--dot", "--svg"])
    assert isinstance(two.exception, UserError) and "give one of them" in str(two.exception)
    nowhere = RUNNER.invoke(_app(), ["graph", "pair", "-o", str(tmp_path / "no" / "g.svg")])
    assert isinstance(nowhere.exception, UserError) and "cannot be written" in str(nowhere.exception)


@pytest.mark.parametrize("kind", GRAPH_FORMATS)
def test_nothing_in_a_title_acts_on_a_terminal_or_a_drawing(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "esc.yaml"
    title = r"\e]0;owned\a\e[31mred\x9b31m \u202egnp.exe <script>alert(1)</script> [bold]x[/bold]"
    file.write_text(f'teaches: "{title}"\nservers: {{a: {{users: 1}}, b: {{}}}}\nlinks: [{{between: [a, b]}}]\n')
    option = [] if kind == "terminal" else [f"--{kind}"]
    for words in (["graph", str(file), *option], ["graph", str(file), "-o", str(tmp_path / "drawing"), *option]):
        result = RUNNER.invoke(_app(), words)
        assert result.exit_code == 0, result.output
    for drawn in (result.stdout, (tmp_path / "drawing").read_text()):
        assert not {*map(ord, drawn)} & {*range(9), *range(11, 32), *range(127, 160), 0x202E}
        assert "<script" not in drawn or kind == "terminal"


def test_errors_about_a_file_do_not_act_on_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "esc\x1b[31m.yaml"
    file.write_text('servers: {"\\e[31m": {}}\n')
    result = RUNNER.invoke(_app(), ["validate", str(file)])
    assert result.exit_code == 64 and "\x1b" not in result.stderr and r"\x1b[31m" in result.stderr
