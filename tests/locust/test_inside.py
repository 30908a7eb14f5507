"""Tests that import Locust run in a process of their own: its import patches the interpreter for gevent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

HERE = Path(__file__).parent


@pytest.mark.parametrize("file", sorted(HERE.glob("inside_*.py")), ids=lambda path: path.stem)
def test_inside(file: Path) -> None:
    # gevent warns that pytest had imported ssl before it: nothing here connects.
    code = "import locust, sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-W", "ignore", "-c", code, "-q", "-W", "ignore", "-p", "no:cacheprovider", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_here_imports_locust() -> None:
    """Else the whole test process would run patched."""
    assert "gevent" not in sys.modules
