"""What must not be in the tree: addresses of one machine, files that are too long, errors caught too broadly."""

from __future__ import annotations

import ast
import re

from tests.house.tree import ROOT, parsed, python_files, tracked

#: Lines of a file in lab/: what is longer is two things.
LONGEST = 600

#: Parts put together, so that this file does not hold what it forbids.
_FORBIDDEN = {
    "an address of a package registry": "|".join(
        ["py" + r"pi\.org", "python" + r"hosted\.org", "registry\\.np" + "mjs", "docker\\.i" + "o/", "gh" + r"cr\.io"]
    ),
    "an address of a distribution's archive": "|".join(["debian" + r"\.org/debian", "archive\\.ubun" + "tu"]),
    "the mark of a merge that was not finished": "|".join(["^<{" + "7} ", "^>{" + "7} "]),
    "a path of one machine": "|".join(["/wo" + r"rk/(?!lab)", "/tm" + "p/w/", "/far" + "m/", "/ro" + "ot/"]),
}

#: The edges: where a broad `except` stands between somebody else's code and ours. File and why.
EDGES = {
    "lab/checks/judge.py": "a check that crashes is unknown, and the others still judge",
    "lab/cli/entry_point.py": "the command's own edge: everything becomes an exit code",
    "lab/runner/batch.py": "what goes wrong on one topology is reported, and the others are run all the same",
    "lab/clients/host.py": "an agent answers each request, with the error if need be",
    "lab/clients/inbox.py": "a stanza that breaks its handler is told as trouble, and the stream goes on",
    "lab/network/control.py": "the service answers each request, with the error if need be",
    "lab/network/dns.py": "a question that cannot be read must not end the name server",
    "lab/network/service.py": "the service's own edge: what failed is told to who started it",
    "lab/runner/console.py": "whatever leaves somebody's statement is printed, and the prompt goes on",
    "lab/runner/invocation.py": "whatever leaves a scenario is its result",
    "lab/runner/run.py": "somebody else's scenario ends as an event of its run",
    "lab/system/loop_thread.py": "what a signal raises is raised once the work has ended",
}

BINARY = {".png", ".tar", ".gz", ".ico"}


def _texts() -> list[tuple[str, str]]:
    return [
        (path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for path in tracked()
        if path.suffix not in BINARY
    ]


def test_no_address_of_one_machine() -> None:
    wrong = [
        f"{name}:{number}: {what}: {line.strip()[:80]}"
        for name, text in _texts()
        for what, pattern in _FORBIDDEN.items()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_lock_files_pin_and_hash_everything() -> None:
    wrong = []
    for path in ROOT.glob("requirements*.lock"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            entry = re.fullmatch(
                r"[a-z0-9._-]+(\[[a-z,]+\])?==[^ ]+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line
            )
            if not entry:
                wrong.append(f"{path.name}:{number}: {line!r} is no pinned, hashed requirement: run `make lock`")
    assert not wrong, "\n" + "\n".join(wrong)


def test_lock_files_hold_what_the_project_asks_for() -> None:
    import tomllib

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = [*project["project"]["dependencies"], *project["dependency-groups"]["build"]]
    wanted = {
        "requirements.lock": runtime,
        "requirements-dev.lock": [*runtime, *project["project"]["optional-dependencies"]["dev"]],
        "requirements-omemo-dr.lock": [*project["project"]["optional-dependencies"]["omemo-dr"], "setuptools"],
    }
    wrong = []
    for name, requirements in wanted.items():
        pins = re.findall(r"^([a-z0-9._-]+)(?:\[.*?\])?==([^ ]+)", (ROOT / name).read_text(), re.M)
        for requirement in map(Requirement, requirements):
            versions = [version for pin, version in pins if pin == canonicalize_name(requirement.name)]
            if not any(requirement.specifier.contains(version) for version in versions):
                wrong.append(f"{name}: pyproject.toml asks for {requirement}, pinned is {versions}: run `make lock`")
    assert not wrong, "\n" + "\n".join(wrong)


def test_files_stay_one_thing() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in python_files("lab")}
    wrong = [
        f"{path.relative_to(ROOT)}: {n} lines, at most {LONGEST}: split it"
        for path, n in lengths.items()
        if n > LONGEST
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_file_says_what_it_is_for() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:1: no docstring: say the file's aim in a sentence"
        for path in python_files("lab")
        if parsed(path).body and not ast.get_docstring(parsed(path))
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_errors_are_caught_by_name() -> None:
    wrong = []
    for path in python_files("lab"):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ExceptHandler) and name not in EDGES and _broad(node):
                wrong.append(
                    f"{name}:{node.lineno}: catches everything and goes on: name the errors, raise again, "
                    f"or say in EDGES of {__file__.rpartition('/')[2]} why this is an edge"
                )
    assert not wrong, "\n" + "\n".join(wrong)


def _broad(handler: ast.ExceptHandler) -> bool:
    """Catches everything and does not raise again."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {"bare" if kind is None else ast.unparse(kind) for kind in kinds}
    raises = any(isinstance(node, ast.Raise) for node in ast.walk(handler))
    return bool(names & {"bare", "Exception", "BaseException"}) and not raises


def test_every_edge_still_exists() -> None:
    stale = [
        name
        for name in EDGES
        if not (ROOT / name).is_file()
        or not any(isinstance(n, ast.ExceptHandler) and _broad(n) for n in ast.walk(parsed(ROOT / name)))
    ]
    assert not stale, f"EDGES names files that catch nothing broadly any more: {stale}"


def test_every_marker_is_used() -> None:
    import tomllib

    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    text = "\n".join(path.read_text() for path in python_files("tests"))
    unused = [
        mark
        for mark in (line.partition(":")[0].partition("(")[0] for line in options["markers"])
        if f"mark.{mark}" not in text
    ]
    assert not unused, f"pyproject.toml: markers that no test carries: {unused}"
