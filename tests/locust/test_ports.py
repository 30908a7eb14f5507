"""A port that Locust cannot have is one sentence; no lab is needed for it."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT
from tests.locust.locust_process import DEADLINE


@pytest.mark.parametrize(
    ("words", "option"),
    [(("--web-port",), "--web-port"), (("--headless", "--master", "--master-bind-port"), "--master-bind-port")],
)
def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path, words: tuple[str, ...], option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [
            sys.executable,
            "-m",
            "locust",
            "-f",
            str(ROOT / "loadtests" / "chat.py"),
            *words,
            str(taken.getsockname()[1]),
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr, done.stderr
    assert option in done.stderr.splitlines()[-1]
