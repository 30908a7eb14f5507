"""Packages import in one direction only, and each third-party package has folders that may import it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT, Import, imports, python_files

#: The packages of lab/, lowest first: each may import itself and those named before it, inside functions and for type
#: checkers as well. `packaged` finds the files that ship, and imports none.
ORDER = (
    "errors", "exit_codes", "packaged", "input_files", "declarations", "history", "topology", "servers", "plan",
    "exports", "metrics", "checks", "system", "network", "clients", "runtime", "lifecycle", "federation", "faults",
    "runner", "report", "load", "locust", "testing", "cli",
)  # fmt: skip

#: Where a package may be imported; nowhere else.
MAY_IMPORT = {
    "docker": ("lab/runtime/containers", "lab/testing"),
    "slixmpp": ("lab/clients",),
    "slixmpp_omemo": ("lab/clients", "benchmarks"),
    "oldmemo": ("lab/clients", "benchmarks"),
    "omemo": ("lab/clients", "benchmarks"),
    "networkx": ("lab/topology", "lab/report", "lab/load"),
    "pydantic": (
        "lab/topology",
        "lab/plan",
        "lab/input_files",
        "lab/load/analysis/study_file",
        "lab/load/metrics/result_file",
        "lab/load/model/job_file",
    ),
    "ruamel": ("lab/topology",),
    "dns": ("lab/network",),
    "vl_convert": ("lab/load/report/html",),
    "jinja2": ("lab/report/html",),
    "markupsafe": ("lab/report/html",),
    "uvloop": ("lab/network", "lab/clients", "lab/load", "benchmarks"),
    "typer": ("lab/cli",),
    "pytest": ("lab/testing",),
    "testcontainers": ("lab/testing",),
    # lab/locust is what people's own load files import, so it must be where an installation has it.
    "locust": ("loadtests", "lab/locust"),
    "gevent": ("loadtests", "lab/locust"),
}

#: Folders without network or process input and output, and what would be it. report/live serves pages.
PURE = (
    "lab/declarations", "lab/history", "lab/topology", "lab/servers", "lab/plan", "lab/checks", "lab/metrics",
    "lab/report",
)  # fmt: skip
IMPURE = ("socket", "ssl", "subprocess", "asyncio", "multiprocessing", "http", "urllib.request", "aiohttp", "signal")
SERVES_PAGES = ("lab/report/live",)

#: What the command's help must not load: each costs more time than help may take, or patches the interpreter.
HEAVY = (
    "docker",
    "slixmpp",
    "locust",
    "gevent",
    "networkx",
    "pydantic",
    "ruamel",
    "cryptography",
    "aiohttp",
    "pytest",
    "vl_convert",
    "jinja2",
)

FILES = python_files("lab")


def _package(name: str) -> str | None:
    """The package of lab/ that an import names; None for the public names, `lab.Federation` and others."""
    parts = name.split(".")
    return parts[1] if parts[0] == "lab" and len(parts) > 1 and parts[1] in ORDER else None


def _below(path: Path, folders: tuple[str, ...]) -> bool:
    relative = path.relative_to(ROOT).as_posix()
    return any(relative == f"{folder}.py" or relative.startswith(f"{folder}/") for folder in folders)


def _report(wrong: list[str]) -> None:
    assert not wrong, "\n" + "\n".join(sorted(set(wrong)))


def test_every_package_has_its_place_in_the_order() -> None:
    packages = {path.relative_to(ROOT / "lab").parts[0].removesuffix(".py") for path in FILES} - {"__init__", "data"}
    _report(
        [f"lab/{name}: not in ORDER of {Path(__file__).name}: say what it may import" for name in packages - {*ORDER}]
    )


def test_a_package_imports_only_lower_ones() -> None:
    wrong = []
    for path in FILES:
        own = path.relative_to(ROOT / "lab").parts[0].removesuffix(".py")
        if own not in ORDER:
            continue
        for one in imports(path):
            package = _package(one.name)
            if package and ORDER.index(package) > ORDER.index(own):
                wrong.append(f"{one}, but {own} is below {package}: move what is needed to a lower package")
            if one.name in ("lab.Federation", "lab.expect", "lab.step", "lab.scenario"):
                wrong.append(f"{one}: modules of lab/ import from the module that defines it, not the public name")
    _report(wrong)


def test_third_party_packages_are_imported_in_their_folders_only() -> None:
    wrong = []
    for path in (*FILES, *(one for name in ("scenarios", "loadtests", "benchmarks") for one in python_files(name))):
        for one in imports(path):
            folders = MAY_IMPORT.get(one.name.split(".")[0])
            if folders and not _below(path, folders):
                wrong.append(f"{one}, which only {', '.join(folders)} may import")
    _report(wrong)


def test_pure_packages_do_no_network_and_start_no_processes() -> None:
    def impure(one: Import) -> bool:
        return any(one.name == name or one.name.startswith(f"{name}.") for name in IMPURE)

    files = [path for path in FILES if _below(path, PURE) and not _below(path, SERVES_PAGES)]
    _report(
        [f"{one}, but this package is pure: pass it data instead" for p in files for one in imports(p) if impure(one)]
    )


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]], ids=" ".join)
def test_help_is_light(arguments: list[str]) -> None:
    """A verb's own help may load pydantic: typer asks it about the verb's parameters."""
    heavy = set(HEAVY) - ({"pydantic"} if len(arguments) > 1 else set())
    code = (
        "import sys\nfrom lab.cli.app import app\nfrom lab.cli.entry_point import run\n"
        f"code = run(app, {arguments!r})\n"
        f"heavy = sorted({heavy!r} & set(sys.modules))\n"
        "print('LOADED', *heavy)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.rpartition("LOADED")[2].split()
    assert not loaded, (
        f"xmpplab {' '.join(arguments)} imports {loaded}: import them inside the functions that need them"
    )
