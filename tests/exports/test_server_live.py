"""Exported servers run: the software's own check takes them, and they pass in a lab; wrong ones do not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab.runtime.debian.trees import TOOLS
from lab.servers.prosody.launch import build_environment
from lab.servers.software import Blueprint
from tests.exports.test_server import DOMAIN, export, text

pytestmark = pytest.mark.live


def test_prosodyctl_finds_nothing_wrong(tree: Path, tmp_path: Path) -> None:
    exported = export("prosody@13.0")
    (tmp_path / "prosody.cfg.lua").write_text(text(exported, exported.configuration))
    blueprint = Blueprint(exported.spec, "", ".", str(tree), "", ("", 0), None, (), "x86_64-linux-gnu")
    environment = {**os.environ, **dict(build_environment(blueprint))}
    command = [str(tree / TOOLS / "prosodyctl"), "check", "config"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All checks passed" in done.stdout


class Exported:
    """A folder that the command wrote; it can be changed before it is verified."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder, self.words = folder, ["export", "server", DOMAIN, "-t", "hidden_island", "--server", server]
        done = self._run()
        assert done.returncode == 0, done.stderr

    def _run(self, *more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lab.cli", *self.words, *more]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=280)

    def change(self, file: str, before: str, after: str) -> None:
        path = self.folder / DOMAIN / file
        told = path.read_text()
        assert before in told
        path.write_text(told.replace(before, after))

    def verify(self, runtime: str = "processes") -> subprocess.CompletedProcess[str]:
        return self._run("--verify", "--runtime", runtime)


#: Server of hidden_island, its configuration, and what a lab replaces in it.
PROSODY = ("home", "prosody/prosody.cfg.lua", ["interfaces", "unbound", "certificates", "ssl"])
EJABBERD = ("public", "ejabberd/ejabberd.yml", ["certfiles", "ca_file", "ip"])
RUNTIMES = ["processes", pytest.param("containers", marks=pytest.mark.containers)]


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(("server", "file", "replaced"), [PROSODY, EJABBERD])
def test_an_exported_server_passes(server: str, file: str, replaced: list[str], runtime: str, tmp_path: Path) -> None:
    exported = Exported(tmp_path, server)
    before = (tmp_path / DOMAIN / file).read_text()
    done = exported.verify(runtime)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("VALID: ") == 5
    diff = done.stdout.partition("+++ in the lab\n")[2].partition("\n\n")[0]
    changed = {line[1:].strip().split()[0].rstrip(":") for line in diff.splitlines() if line.startswith("-")}
    assert changed - {"-"} <= {*replaced} and changed, diff
    assert (tmp_path / DOMAIN / file).read_text() == before, "the folder was changed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "changes", "code", "told"),
    [
        (PROSODY, {'"limits";': '"limits"; "register_ibr";', "allow_registration = false": "allow_registration = true"},
         1, "FAILED: owner_decides"),
        (PROSODY, {"https_ports = {": "s2s_ports = { 5270 }\nhttps_ports = {"}, 3, "not ready after"),
        (PROSODY, {"s2s_secure_auth = true": "s2s_secure_auth = = true"}, 3, "its configuration has a syntax error"),
        (PROSODY, {"unbound = {": "unbound  = {"}, 64, "sets no `unbound`"),
        (EJABBERD, {"access: none": "access: all"}, 1, "FAILED: owner_decides"),
        (EJABBERD, {"mod_offline: {}": "mod_of_line: {}"}, 3, "its configuration has an error"),
    ],
)  # fmt: skip
def test_a_wrong_setting_fails(
    case: tuple[str, str, list[str]], changes: dict[str, str], code: int, told: str, tmp_path: Path
) -> None:
    exported = Exported(tmp_path, case[0])
    for before, after in changes.items():
        exported.change(case[1], before, after)
    done = exported.verify()
    assert done.returncode == code, done.stdout + done.stderr
    assert told in " ".join((done.stdout + done.stderr).split())


@pytest.mark.slow
def test_a_folder_that_is_no_export_is_one_error(tmp_path: Path) -> None:
    exported = Exported(tmp_path, "home")
    shutil.rmtree(tmp_path / DOMAIN / "prosody")
    done = exported.verify()
    assert done.returncode == 64
    assert "is not there" in done.stderr
