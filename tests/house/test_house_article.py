"""The article, claim by claim: each claim has one command, and that shows what is said."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.docs import DOCS, text

#: Text by heading.
CLAIMS = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", text(DOCS / "article.md"), re.M))

#: What the command's output must have in it, by number of the claim.
SHOWN = {
    "1": "VALID: everyone_writes",
    "2": "2 of 2 runs are valid",
    "3": "self-hosted",
    "4": "VALID: server_joins",
    "5": "VALID: srv_failover",
    "6": "one-giant",
    "7": "2 of 2 runs are valid",
    "8": "VALID: can_we_encrypt",
    "9": "VALID: three_choices",
    "10": "2 of 2 runs are valid",
    "13": "VALID: owner_decides",
    "14": "VALID: who_and_when",
}


def _find_command(claim: str) -> list[str]:
    (block,) = re.findall(r"^```console\n(.*?)^```$", CLAIMS[claim], re.M | re.S)
    (line,) = block.splitlines()
    return shlex.split(line.removeprefix("$ xmpplab "))


def test_every_claim_has_one_command_and_says_what_to_change() -> None:
    numbers = [int(number) for heading in CLAIMS for number in re.findall(r"(\d+)\. ", heading)]
    assert numbers == list(range(1, 15))
    for claim, said in CLAIMS.items():
        assert _find_command(claim), claim
        assert "\nChange: " in said, claim
    assert {heading.split(".")[0] for heading in CLAIMS} == set(SHOWN)


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize("claim", list(CLAIMS), ids=lambda claim: claim.split(".")[0])
def test_it_is_shown(claim: str, tmp_path: Path) -> None:
    command = _find_command(claim)
    if command[0] == "run":
        command += ["--runtime", "processes"]
    done = subprocess.run(
        [sys.executable, "-m", "lab.cli", *command], cwd=tmp_path, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert SHOWN[claim.split(".")[0]] in " ".join(done.stdout.split())
