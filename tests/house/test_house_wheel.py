"""The wheel carries what the lab needs: in any folder, without the checkout, what ships is found by name."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.house.tree import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, as an installation lays it out."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def _python(installed: Path, code: str) -> str:
    """Run code with the installation in front of the checkout, somewhere else."""
    code = f"import sys; sys.path.insert(0, {str(installed)!r})\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=installed.parent, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_topologies_and_scenarios_are_found(installed: Path) -> None:
    told = _python(
        installed,
        "import lab\nassert lab.__file__.startswith(sys.path[0]), lab.__file__\n"
        "from lab.packaged import list_names, find_folder\nfrom lab.topology.files import load\n"
        "from lab.runner.scenarios import list_scenarios\n"
        "print(len([load(name) for name in list_names('topologies', '.yaml')]), len(list_scenarios()))\n"
        "assert find_folder('schemas').is_dir() and find_folder('images').is_dir()",
    )
    topologies, scenarios = map(int, told.split())
    assert topologies == len(list((ROOT / "topologies").glob("*.yaml")))
    assert scenarios == len(list((ROOT / "scenarios").glob("[a-z]*.py")))


def test_files_that_are_not_python_are_in_it(installed: Path) -> None:
    """Server modules in Lua and Erlang lie beside the Python files that place them."""
    missing = [
        path.relative_to(ROOT)
        for path in (ROOT / "lab").rglob("*")
        if path.is_file() and path.suffix not in (".pyc", "") and not (installed / path.relative_to(ROOT)).is_file()
    ]
    assert not missing


def test_the_licence_is_in_it(installed: Path) -> None:
    (metadata,) = installed.glob("xmpplab-*.dist-info")
    assert (metadata / "licenses" / "LICENSE").is_file()
    assert "License-Expression: AGPL-3.0-or-later" in (metadata / "METADATA").read_text()
