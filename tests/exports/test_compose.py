"""What `xmpplab export compose` writes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from lab.cli.app import app
from lab.cli.entry_point import run
from lab.declarations.manifest import PORTS
from lab.errors import UserError
from lab.exports.compose import export_compose
from lab.servers.software import File
from lab.topology.files import load


def project(topology: str = "hidden_island") -> dict[str, File]:
    return {file.path: file for file in export_compose(load(topology))}


def compose(files: dict[str, File]) -> dict:
    return YAML(typ="safe").load(files["docker-compose.yaml"].text)


def test_services_have_their_host_names_and_nothing_else_is_open() -> None:
    topology, found = load("hidden_island"), compose(project())
    assert found["networks"]["federation"] == {"internal": True}
    (masquerade,) = found["networks"]["clients"]["driver_opts"].values()
    assert masquerade == "false"
    for spec in topology.servers:
        service = found["services"][spec.name]
        assert set(service["networks"]["federation"]["aliases"]) == set(spec.hosts)
        assert all(re.fullmatch(rf"127\.0\.0\.1:\$\{{PORT_\w+:-\d+\}}:{PORTS.client}", p) for p in service["ports"])
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
    assert found["services"]["authority"]["network_mode"] == "none"
    ports = re.findall(r":-(\d+)}:5222", str(found))
    assert len(set(ports)) == len(topology.servers)


def test_who_has_no_link_is_no_peer(tmp_path: Path) -> None:
    files = project()
    island, public = files["servers/island/prosody.cfg.lua"].text, files["servers/public/ejabberd.yml"].text
    (allowed,) = re.findall(r"^lab_allow = (.*)$", island, re.MULTILINE)
    assert '"home.test"' in allowed
    assert "public.test" not in island
    assert "s2s_access: peers" in public
    assert "island.test" not in public
    (tmp_path / "alone.yaml").write_text(
        "servers: {a: {software: ejabberd}, b: {}, c: {}}\nlinks: [{between: [b, c]}]\n"
    )
    assert "s2s_access: none" in project(str(tmp_path / "alone.yaml"))["servers/a/ejabberd.yml"].text


@pytest.mark.parametrize("topology", ["hidden_island", "versions", "star:4,software=ejabberd"])
def test_nothing_secret_and_nothing_of_a_lab_is_in_it(topology: str) -> None:
    for path, file in project(topology).items():
        assert "PRIVATE KEY" not in file.text, path
        # of the lab's modules only this one is in a project
        assert path.endswith("mod_lab_policy.lua") or not re.search(
            r"lab_(feed|probe|admin)|mod_lab_(feed|probe|accounts)|/lab/", file.text
        ), path


@pytest.mark.parametrize("topology", ["hidden_island", "versions"])
def test_scripts_are_for_a_plain_shell(topology: str) -> None:
    scripts = [file for file in project(topology).values() if file.mode & 0o100]
    assert len(scripts) == 2
    for script in scripts:
        done = subprocess.run(["sh", "-n"], input=script.text, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, f"{script.path}: {done.stderr}"


def test_each_version_has_an_image_of_its_own_release() -> None:
    files = project("versions")
    bases = {path: re.search(r"^ARG BASE=(\S+)$", one.text, re.M)[1] for path, one in files.items() if "file" in path}
    assert bases["prosody-0.12.Dockerfile"] == bases["ejabberd-23.01.Dockerfile"] == "debian:bookworm-slim"
    assert bases["prosody-13.0.Dockerfile"] == bases["ejabberd-24.12.Dockerfile"] == "debian:trixie-slim"
    services = compose(files)["services"]
    assert {one["build"]["dockerfile"] for one in services.values()} == {*bases}


@pytest.mark.parametrize(
    ("topology", "expected"),
    [
        ("scripted_peer", "peer is scripted, which the lab does not configure"),
        ("plaintext", "has settings that no project has: tls, authentication"),
    ],
)
def test_what_a_project_cannot_have_is_one_error(topology: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        project(topology)


def test_the_command_writes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(app, ["export", "compose", "pair"]) == 0
    assert "pair as a Compose project, 2 servers" in capsys.readouterr().out
    written = {str(path.relative_to(tmp_path / "pair")) for path in (tmp_path / "pair").rglob("*") if path.is_file()}
    assert written == {*project("pair")}
    assert run(app, ["export", "compose", "-t", "pair"]) == 64
    assert "nothing is overwritten" in capsys.readouterr().err
    assert run(app, ["export", "compose", "pair", "-t", "ring:3"]) == 64
    assert "are two topologies" in capsys.readouterr().err
    assert run(app, ["export", "compose", "pair", "--verify"]) == 64
    assert "belong to `export server`" in capsys.readouterr().err
