"""The files of docs/ci.md: the scripts run, and the services' files call them with servers that exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ruamel.yaml import YAML

from lab.declarations.servers import INSTALLED, MANIFESTS
from tests.house.docs import DOCS, parse_command, text
from tests.house.tree import ROOT
from tests.runtime.own_server import description

PAGE = text(DOCS / "ci.md")
EVERY = {f"{name}@{version.number}" for name in INSTALLED for version in MANIFESTS[name].versions}
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.M | re.S)


def _script(name: str = "ci.sh") -> str:
    (script,) = (code for language, code in BLOCKS if language == "sh" and f"\n# {name} " in code)
    return script


def _file(name: str) -> dict:
    (found,) = (code for language, code in BLOCKS if language == "yaml" and code.startswith(f"# {name}"))
    return YAML(typ="safe").load(found)


def _made_by_the_script() -> set[str]:
    return set(re.findall(r"results/\w+\.\w+", _script()))


def test_github_calls_the_script_for_every_server() -> None:
    job = _file(".github/workflows/xmpp.yaml")["jobs"]["federation"]
    assert set(job["strategy"]["matrix"]["other"]) == EVERY
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert 'sh ci.sh "${{ matrix.other }}"' in commands
    assert {*re.findall(r"results/\w+\.\w+", "\n".join(commands))} <= _made_by_the_script()
    after = job["steps"][[step.get("run", "").startswith("sh ci.sh") for step in job["steps"]].index(True) + 1 :]
    assert [step["if"] for step in after] == ["always()"] * 2, "results are kept only if the job did not fail"
    assert set(job["env"]) == {"XMPPLAB_SOURCE", "XMPPLAB_CACHE"}


def test_gitlab_calls_the_script_for_every_server() -> None:
    job = _file(".gitlab-ci.yml")["federation"]
    assert set(job["parallel"]["matrix"][0]["OTHER"]) == EVERY
    assert job["script"] == ['sh ci.sh "$OTHER"']
    assert job["artifacts"]["when"] == "always"
    assert job["artifacts"]["reports"]["junit"] in _made_by_the_script()
    assert job["cache"]["paths"] == [job["variables"]["XMPPLAB_CACHE"].removeprefix("$CI_PROJECT_DIR/")]


def test_github_calls_the_script_of_clients_for_every_server() -> None:
    job = _file(".github/workflows/xmpp-client.yaml")["jobs"]["client"]
    pairs = [pair.split("+") for pair in job["strategy"]["matrix"]["servers"]]
    assert {first for first, _ in pairs} == {second for _, second in pairs} == EVERY
    commands = [step.get("run") for step in job["steps"]]
    after = job["steps"][commands.index('sh client-ci.sh "${{ matrix.servers }}"') + 1 :]
    assert [step["if"] for step in after] == ["always()"]
    assert {"SYS_ADMIN", "NET_ADMIN", "apparmor=unconfined"} <= set(job["container"]["options"].split())
    assert set(job["env"]) == {"XMPPLAB_SOURCE", "XMPPLAB_CACHE"}


def _run_with_a_false_pip(script: str, folder: Path, *words: str) -> list[str]:
    """How a script calls pip and xmpplab, which only say so."""
    (folder / "ci.sh").write_text(script)
    (folder / "bin").mkdir()
    python = folder / "bin/python3"
    python.write_text(f"""#!/bin/sh
[ "$*" = "-m venv .xmpplab" ] || exit 9
mkdir -p .xmpplab/bin
for one in pip xmpplab; do
  printf '#!/bin/sh\\necho %s "$@" >>{folder}/calls\\n' $one >.xmpplab/bin/$one
  chmod +x .xmpplab/bin/$one
done
""")
    python.chmod(0o755)
    environment = {"PATH": f"{folder}/bin:/usr/bin:/bin", "XMPPLAB_SOURCE": "../a folder"}
    command = ["sh", "ci.sh", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    calls = (folder / "calls").read_text().splitlines()
    parse_command("docs/ci.md", shlex.split(calls[-1])[1:])
    return calls


def test_the_script_installs_what_it_is_told_to(tmp_path: Path) -> None:
    installed, called = _run_with_a_false_pip(_script(), tmp_path, "prosody@13.0", "ejabberd@24.12")
    assert installed == "pip install --quiet ../a folder"
    assert "-t pair,software=./mine.yaml+prosody@13.0,name=mine-prosody-13-0" in called
    assert "-t pair,software=./mine.yaml+ejabberd@24.12,name=mine-ejabberd-24-12" in called


def test_the_script_of_clients_installs_what_it_is_told_to(tmp_path: Path) -> None:
    installed, called = _run_with_a_false_pip(_script("client-ci.sh"), tmp_path, "prosody@13.0+ejabberd@24.12")
    assert installed == "pip install --quiet ../a folder"
    assert called.startswith("xmpplab with -t pair,software=prosody@13.0+ejabberd@24.12 ")


def _provide_xmpplab(folder: Path) -> None:
    """This tree's, where the scripts install it."""
    program = folder / ".xmpplab/bin/xmpplab"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec env PYTHONPATH={ROOT} {sys.executable} -m lab.cli "$@"\n')
    program.chmod(0o755)


@pytest.mark.live
@pytest.mark.slow
def test_the_script_of_clients_runs_ones_own_tests(tmp_path: Path) -> None:
    (tmp_path / "ci.sh").write_text(_script("client-ci.sh"))
    _provide_xmpplab(tmp_path)
    tests = tmp_path / "run-tests"
    tests.write_text(
        '#!/bin/sh\nset -e\ngetent hosts b.test\necho "<jid>$XMPPLAB_JID</jid>" >results/junit.xml\nexit 7\n'
    )
    tests.chmod(0o755)
    command = ["sh", "ci.sh", "prosody@13.0+ejabberd@24.12"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=250)
    assert done.returncode == 7, done.stdout + done.stderr
    assert (tmp_path / "results/junit.xml").read_text() == "<jid>alice@a.test</jid>\n"


@pytest.mark.live
@pytest.mark.slow
async def test_the_script_tests_ones_own_server(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(await description())
    (tmp_path / "ci.sh").write_text(_script())
    _provide_xmpplab(tmp_path)

    def run(*others: str) -> subprocess.CompletedProcess[str]:
        command = ["sh", "ci.sh", *others]
        return subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=250)

    done = run("prosody@13.0", "ejabberd@24.12")
    assert done.returncode == 0, done.stdout + done.stderr
    suites = ElementTree.parse(tmp_path / "results/junit.xml").getroot()
    assert {suite.get("name") for suite in suites} == {"mine-prosody-13-0", "mine-ejabberd-24-12"}
    assert (suites.get("tests"), suites.get("failures"), suites.get("errors")) == ("4", "0", "0")
    assert "4 of 4 runs are valid" in (tmp_path / "results/summary.md").read_text()
    assert list((tmp_path / "results/runs").glob("*/history.jsonl"))
    described = (tmp_path / "mine.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(described.replace("s2s_secure_auth = true", "modules_disabled = { 's2s' }"))
    assert run("prosody@13.0").returncode == 3, "a server that does not federate passes"
