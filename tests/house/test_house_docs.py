"""Nothing that people can use is undocumented, and nothing that the documentation shows is wrong."""

from __future__ import annotations

import pkgutil
import re
import shlex
from pathlib import Path

import pytest

import lab
from lab import exit_codes
from lab.cli.app import VERBS
from lab.errors import UserError
from lab.packaged import list_names
from lab.topology.files import load
from tests.house.docs import COMMAND, DOCS, README, Block, anchors, blocks, links, pages, parse_command, text, words
from tests.house.tree import ROOT, python_files

PACKAGES = sorted(path.parent.name for path in (ROOT / "lab").glob("*/__init__.py"))


def _fail(wrong: list[str]) -> None:
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_verb_has_its_page_and_stands_in_the_readme() -> None:
    _fail(
        [f"docs/{verb}.md: missing: write a page for the verb" for verb in VERBS if not (DOCS / f"{verb}.md").is_file()]
        + [f"README.md: the verb `{verb}` is not in it" for verb in VERBS if f"xmpplab {verb}" not in text(README)]
    )


def test_where_user1_logs_in_the_topology_that_is_started_has_users() -> None:
    """`pair` has accounts; a shape with values behind it, such as `pair,software=ejabberd`, has those of `users=`."""
    started = [
        (page, topology)
        for page in pages()
        if re.search(r"xmpplab .*\buser1@", said := text(page))
        for topology in re.findall(r"xmpplab up ([^-\s`][^\s`]*)", said)
    ]
    assert len(started) >= 5
    _fail(
        [
            f"{page.name}: `xmpplab up {topology}` has no user1 on {server.name}"
            for page, topology in started
            for server in load(topology).servers
            if not server.users
        ]
    )


def test_every_option_stands_on_its_verbs_page() -> None:
    wrong = []
    for verb, command in COMMAND.commands.items():
        for parameter in command.params:
            for name in (*parameter.opts, *parameter.secondary_opts):
                if name.startswith("-") and not re.search(rf"(?<![\w-]){name}(?![\w-])", text(DOCS / f"{verb}.md")):
                    wrong.append(f"docs/{verb}.md: says nothing of {name}")
    for name in ("--debug", "--version"):
        if name not in text(DOCS / "index.md"):
            wrong.append(f"docs/index.md: says nothing of {name}, which stands before a verb")
    _fail(wrong)


def test_every_topology_field_is_documented() -> None:
    from lab.topology.model import TopologyFile

    schema = TopologyFile.model_json_schema()
    fields = {
        name
        for part in (schema, *schema.get("$defs", {}).values())
        for name in part.get("properties", {})
    }  # fmt: skip
    page = text(DOCS / "topology.md")
    assert fields
    _fail(
        [f"docs/topology.md: says nothing of the field `{name}`" for name in sorted(fields) if f"`{name}" not in page]
    )


def test_every_topology_stands_on_the_page_with_its_sentence() -> None:
    from lab.topology.files import load

    page = words(DOCS / "topologies.md")
    wrong = []
    for name in list_names("topologies", ".yaml"):
        if f"`{name}`" not in page:
            wrong.append(f"docs/topologies.md: `{name}` is not in it")
        elif load(name).teaches not in page:
            wrong.append(f"docs/topologies.md: `{name}` must say what its file teaches: {load(name).teaches}")
    _fail(wrong)


def test_every_scenario_stands_on_the_page_with_its_sentence() -> None:
    from lab.runner.scenarios import list_scenarios, load

    page = words(DOCS / "scenarios.md")
    wrong = []
    for info in (info for name in list_scenarios() for info in load(name)):
        if f"`{info.name}`" not in page:
            wrong.append(f"docs/scenarios.md: `{info.name}` is not in it")
        elif info.title not in page:
            wrong.append(f"docs/scenarios.md: `{info.name}` must carry its sentence: {info.title}")
    _fail(wrong)


def test_every_check_is_documented() -> None:
    from lab.checks import CHECKS

    assert CHECKS
    _fail(
        [f"docs/checks.md: says nothing of the check `{n}`" for n in CHECKS if f"`{n}`" not in text(DOCS / "checks.md")]
    )


def test_every_fault_is_documented_with_its_fields() -> None:
    from lab.declarations.faults import FAULTS

    wrong = []
    for fault in FAULTS.values():
        section = text(DOCS / "faults.md").partition(f"\n## `{fault.name}(")[2].partition("\n## ")[0]
        if not section:
            wrong.append(f"docs/faults.md: no section `## `{fault.name}(…)``")
        wrong += [
            f"docs/faults.md: says nothing of the field `{field.name}` of {fault.name}"
            for field in fault.fields
            if f"| `{field.name}` |" not in section
        ]
    assert FAULTS
    _fail(wrong)


def test_every_encryption_and_every_software_is_documented() -> None:
    from lab.declarations.encryptions import ENCRYPTIONS
    from lab.declarations.servers import MANIFESTS

    wrong = [
        f"docs/agents.md: says nothing of the encryption `{one.name}`"
        for one in ENCRYPTIONS.values()
        if one.devices and f"`{one.name}`" not in text(DOCS / "agents.md")
    ]
    wrong += [
        f"docs/servers.md: `{one.name}@{version.number}` must be said to be {one.about} {version.suite}"
        for one in MANIFESTS.values()
        for version in one.versions
        if f"| `{one.name}@{version.number}` | {one.about} {version.suite} |" not in text(DOCS / "servers.md")
    ]
    _fail(wrong)


def test_every_feature_is_documented() -> None:
    from lab.declarations.features import FEATURES

    page = text(DOCS / "topology.md")
    _fail(
        [f"docs/topology.md: says nothing of the feature `{name}`" for name in FEATURES if f"| `{name}` |" not in page]
    )


def test_every_export_is_documented() -> None:
    every = "\n".join(text(page) for page in pages())
    _fail([f"docs/scenarios.md: says nothing of lab.{name}" for name in lab.__all__ if f"`{name}" not in every])


def test_every_exit_code_is_documented() -> None:
    page = text(DOCS / "exit-codes.md")
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)} - {
        exit_codes.SIGNAL
    }
    codes |= {129, 130, 141, 143}
    _fail([f"docs/exit-codes.md: says nothing of {code}" for code in sorted(codes) if f"| {code} |" not in page])


def test_every_option_of_the_pytest_plugin_is_documented() -> None:
    found = re.findall(r'"(--xmpplab-[a-z-]+)"', (ROOT / "lab/testing/plugin.py").read_text())
    assert found
    _fail(
        [
            f"docs/pytest.md: says nothing of {name}"
            for name in sorted(set(found))
            if name not in text(DOCS / "pytest.md")
        ]
    )


def test_every_environment_variable_is_documented() -> None:
    used = {
        name: path.relative_to(ROOT)
        for path in python_files("lab")
        for name in re.findall(r"\bXMPPLAB_[A-Z]+\b", path.read_text(encoding="utf-8"))
    }
    every = "\n".join(text(page) for page in pages())
    _fail(
        [
            f"docs/environment.md: says nothing of {name} ({path})"
            for name, path in sorted(used.items())
            if name not in every
        ]
    )


def test_the_map_of_the_code_names_every_package_and_nothing_else() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", text(DOCS / "architecture.md"), re.M)
    assert sorted(rows) == PACKAGES
    drawn = re.search(r"```mermaid\n(.*?)```", text(DOCS / "architecture.md"), re.S)
    assert drawn
    assert {*re.findall(r"^    (\w+)$", drawn[1], re.M)} - {"end"} == {*PACKAGES}


def test_modules_that_the_map_of_the_code_names_exist() -> None:
    """`topology.files.load` is a name in a module of lab/, `lab/network/link_shaper.py` a file."""
    page = text(DOCS / "architecture.md")
    dotted = [one for one in re.findall(r"`([a-z_]+(?:\.(?!jsonl\b)\w+)+)`", page) if one.partition(".")[0] in PACKAGES]
    files = [one for one in re.findall(r"`(lab/[^`]+)`", page) if "NAME" not in one]
    assert len(dotted) > 20
    assert files
    _fail(
        [f"docs/architecture.md: lab has no {name}" for name in dotted if not _is_in_lab(name)]
        + [f"docs/architecture.md: there is no {name}" for name in files if not (ROOT / name).exists()]
    )


def _is_in_lab(name: str) -> bool:
    """Whether a name with dots is a module of lab/, or something that a module of it defines."""
    try:
        pkgutil.resolve_name(f"lab.{name}")
    except (ImportError, AttributeError):
        return False
    return True


def test_the_index_leads_to_every_page() -> None:
    linked = {(DOCS / target.partition("#")[0]).resolve() for _, target in links(DOCS / "index.md")}
    _fail(
        [
            f"docs/index.md: no link to {page.name}"
            for page in DOCS.rglob("*.md")
            if page.name != "index.md" and page not in linked
        ]
    )


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for line, target in links(page):
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists():
            wrong.append(f"{page.relative_to(ROOT)}:{line}: leads to {target}, which is not there")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            wrong.append(f"{page.relative_to(ROOT)}:{line}: {file.name} has no heading for #{anchor}")
    _fail(wrong)


@pytest.mark.parametrize("block", list(blocks("python")), ids=lambda block: block.place)
def test_python_in_the_documentation_compiles(block: Block) -> None:
    compile("\n" * (block.line - 1) + block.text, str(block.file), "exec")


@pytest.mark.parametrize("block", list(blocks("yaml")), ids=lambda block: block.place)
def test_topologies_in_the_documentation_load(block: Block, tmp_path: Path) -> None:
    if not re.search(r"^(servers|shape):", block.text, re.M):
        pytest.skip("a fragment: it has neither servers nor a shape")
    from lab.topology.files import load

    file = tmp_path / "shown.yaml"
    file.write_text(block.text)
    try:
        load(file)
    except UserError as error:
        if "./" in block.text and "there is no such file" in str(error):
            pytest.skip("it names a file of the reader's own")
        raise AssertionError(f"{block.place}: {error}") from error


@pytest.mark.parametrize("page", [one for one in pages() if one.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_commands_within_sentences_parse(page: Path) -> None:
    """A verb alone, or with the name of an option, is a name and not a command. The changelog has old ones, too."""
    prose = re.sub(r"^```.*?^```$", lambda block: "\n" * block[0].count("\n"), text(page), flags=re.M | re.S)
    for found in re.finditer(r"`xmpplab ([a-z][^`]* [^`]+)`", prose):
        line = prose.count("\n", 0, found.start()) + 1
        if not re.fullmatch(r"\w+ --?[\w-]+", found[1]):
            parse_command(f"{page.relative_to(ROOT)}:{line}", shlex.split(found[1]))


@pytest.mark.parametrize("block", list(blocks("console", "sh")), ids=lambda block: block.place)
def test_commands_in_the_documentation_parse(block: Block) -> None:
    for number, line in enumerate(block.text.splitlines(), block.line):
        shown = (
            re.match(r"\$ (?:\w+=\S+ )*xmpplab (.+)", line)
            if block.language == "console"
            else re.match(r"xmpplab (.+)", line)
        )
        if shown:
            parse_command(f"{block.file.relative_to(ROOT)}:{number}", shlex.split(shown[1], comments=True))
