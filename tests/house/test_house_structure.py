"""How lab/ is divided: no cycles, no name that means two things, nothing that is too long, nouns for modules."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

from tests.house.graph import cycles, edges, modules, package, package_edges
from tests.house.tree import ROOT, imports, parsed, python_files

#: Lines of a function: what is longer is two functions.
LONGEST_FUNCTION = 60

#: Words that say in a picture what the field has a word for, and those of today's that became one. A module has the
#: field's noun: RFC 6120 and 6121, the XEPs, Docker, Locust, pytest, asyncio.
METAPHORS = {
    "acquaintance", "acts", "claim", "conductor", "course", "crew", "door", "ear", "ground", "hand", "house", "journey",
    "keep", "keeper", "leash", "life", "mouth", "story", "tale", "tell", "together", "turns", "wire",
}  # fmt: skip

#: Modules whose names end like gerunds and are nouns.
NOUNS = {"provisioning", "testing"}

FILES = python_files("lab")


def _report(wrong: list[str]) -> None:
    assert not wrong, "\n" + "\n".join(sorted(set(wrong)))


def test_no_packages_import_each_other() -> None:
    """A folder is one package; its own folders are others."""
    wrong = []
    for group in cycles(package_edges()):
        inside = [one for (a, b), one in package_edges().items() if a in group and b in group]
        wrong.append(f"{' <-> '.join(group)}: " + "; ".join(map(str, inside)))
    _report(wrong)


def test_no_modules_import_each_other() -> None:
    """Types of one folder may refer to each other, in imports for type checkers only."""
    kept = [pair for pair in edges() if len({package(one) for one in pair}) > 1 or not _for_types_only(*pair)]
    wrong = []
    for group in cycles(kept):
        inside = [one for (a, b), one in edges().items() if a in group and b in group]
        wrong.append(f"{' <-> '.join(group)}: " + "; ".join(map(str, inside)))
    _report(wrong)


def _for_types_only(source: str, target: str) -> bool:
    """Whether a module imports another one for type checkers only."""
    path = modules()[source]
    blocks = [
        node
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    lines = {one.lineno for block in blocks for one in block.body}
    return {one.line for one in imports(path) if f"{one.name}.".startswith(f"{target}.")} <= lines


def test_a_class_name_means_one_thing() -> None:
    found = defaultdict(list)
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    _report([f"class {name}: {', '.join(places)}: rename all but one" for name, places in found.items() if places[1:]])


def test_functions_stay_one_thing() -> None:
    wrong = []
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                place = f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}"
                if length > LONGEST_FUNCTION:
                    wrong.append(f"{place} has {length} lines, at most {LONGEST_FUNCTION}: split it")
    _report(wrong)


def test_modules_have_the_fields_nouns() -> None:
    wrong = []
    for path in FILES:
        words = (path.parent.name if path.stem == "__init__" else path.stem).strip("_").split("_")
        for word in words:
            gerund = re.fullmatch(r"\w{3,}ing", word) and word not in NOUNS
            if gerund or word in METAPHORS:
                kind = "a gerund" if gerund else "a metaphor"
                wrong.append(f"{path.relative_to(ROOT)}: {word!r} is {kind}: name the module with the field's noun")
    _report(wrong)


def test_verbs_do_not_import_each_other() -> None:
    """What two verbs need lies below cli/; only the application knows the verbs."""
    from lab.cli.app import VERBS

    verbs = {function.__module__ for function in VERBS.values()}
    _report(
        [
            f"{one}: a verb that another needs is no verb: move what it does below lab/cli"
            for (source, target), one in edges().items()
            if target in verbs and source != "lab.cli.app"
        ]
    )


def test_python_modules_are_started_without_the_current_folder():
    """`python -m` would take a module such as random from the folder in which a user has a random.py."""
    allowed = ROOT / "lab" / "system" / "subprocesses.py"
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}: start it with `python_module` of lab.system.subprocesses"
        for path in python_files("lab")
        if path != allowed
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and node.value == "-m"
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_verbs_print_through_one_function_that_escapes():
    """What a verb prints may quote a file or a server: `print_text` writes control characters out."""
    _report(
        [
            f"{path.relative_to(ROOT)}:{node.lineno}: print with `print_text` of lab.cli.output"
            for path in python_files("lab/cli")
            for node in ast.walk(parsed(path))
            if isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("print", "typer.echo", "sys.stdout.write", "sys.stderr.write")
            and not (path.name == "output.py" and "printable(" in ast.unparse(node))
        ]
    )
