"""What `xmpplab export server` writes: texts for real servers, their zone, firewall and scripts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import dns.rdatatype
import dns.zone
import pytest

from lab.cli.app import app
from lab.cli.entry_point import run
from lab.declarations.manifest import PORTS
from lab.errors import UserError
from lab.exports.changes import MARK, list_changes
from lab.exports.server import ServerExport, export_server
from lab.runtime.exported_files import write_export
from lab.servers import get_software
from lab.servers.software import File
from lab.topology.files import load
from tests.servers.test_golden import blueprint, compare

DOMAIN = "example.org"
SOFTWARE = ("prosody@13.0", "prosody@0.12", "ejabberd@24.12")


def export(software: str, domain: str = DOMAIN) -> ServerExport:
    return export_server(load(f"pair,software={software}"), "a", domain, "xmpplab export …")


def text(exported: ServerExport, path: str) -> str:
    return next(file.text for file in exported.files if file.path == path)


@pytest.mark.parametrize("software", SOFTWARE)
def test_the_configuration(software: str) -> None:
    exported = export(software)
    compare(f"production-{software.replace('@', '-')}.txt", text(exported, exported.configuration))


@pytest.mark.parametrize("software", SOFTWARE)
def test_nothing_of_a_lab_is_in_it(software: str) -> None:
    everything = "\n".join(file.text for file in export(software).files if file.path != "README.md")
    assert not re.search(r"lab_|mod_lab|127\.|\.test\b|/lab/", everything)
    assert "4096" not in everything


@pytest.mark.parametrize("software", SOFTWARE)
def test_every_mark_is_listed_and_explained(software: str) -> None:
    files = export(software).files
    changes = list_changes(files)
    assert len(changes) == "\n".join(file.text for file in files).count(MARK) > 10
    assert {one.place.partition("/")[0] for one in changes} >= {"dns", "firewall", "certificates", "daily"}
    assert all(len(one.text) > 15 for one in changes)


@pytest.mark.parametrize("software", SOFTWARE)
@pytest.mark.parametrize(("domain", "ascii_form"), [(DOMAIN, DOMAIN), ("bücher.example", "xn--bcher-kva.example")])
def test_the_zone_leads_to_every_port_of_every_host(software: str, domain: str, ascii_form: str) -> None:
    exported = export(software, domain)
    zone = dns.zone.from_text(text(exported, f"dns/{ascii_form}.zone"), check_origin=False, relativize=False)

    def records(name: str, kind: str) -> list[str]:
        return [each.to_text() for each in zone.find_rdataset(f"{name}.", kind)]

    def ports(service: str, host: str) -> list[str]:
        srv = records(f"_{service}._tcp.{host}", "SRV")
        assert all(each.split()[3] == f"xmpp.{ascii_form}." for each in srv)
        return [each.split()[2] for each in srv]

    assert records(f"xmpp.{ascii_form}", "A") == records(ascii_form, "A")
    assert ports("xmpp-client", ascii_form) == [str(PORTS.client)]
    assert ports("xmpps-client", ascii_form) == [str(PORTS.client_tls)]
    for host in exported.spec.hosts:
        host = host.encode("idna").decode()
        assert ports("xmpp-server", host) == [str(PORTS.server)]
        assert host == ascii_form or records(host, "CNAME") == [f"xmpp.{ascii_form}."]
    targets = {each.split()[3] for name, one in zone.iterate_rdatasets(dns.rdatatype.SRV) for each in map(str, one)}
    assert all(zone.get_rdataset(target, "A") for target in targets), "an SRV record leads to no address"


@pytest.mark.parametrize("software", SOFTWARE)
def test_the_firewall_opens_the_ports_of_the_zone(software: str) -> None:
    rules = text(export(software), "firewall/xmpp.nft")
    opened = {int(port) for port in re.findall(r"tcp dport (\d+) accept", rules)}
    assert opened == {22, 80, PORTS.client, PORTS.client_tls, PORTS.server, PORTS.https}


@pytest.mark.skipif(not shutil.which("nft") or os.geteuid() != 0, reason="nft checks rules as root only")
def test_nft_takes_the_firewall_twice(tmp_path: Path) -> None:
    """In a network namespace of its own: nothing of this machine changes."""
    file = tmp_path / "xmpp.nft"
    file.write_text(text(export("prosody"), "firewall/xmpp.nft"))
    script = f"nft -f {file} && nft -f {file} && nft list table inet xmpp"
    done = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, text=True, timeout=60)
    if "unshare" in done.stderr:
        pytest.skip(f"no network namespace can be made: {done.stderr}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("dport 5269 accept") == 1


@pytest.mark.parametrize("software", SOFTWARE)
def test_scripts_are_for_a_plain_shell(software: str) -> None:
    scripts = [file for file in export(software).files if file.mode & 0o100]
    assert len(scripts) >= 3
    for script in scripts:
        done = subprocess.run(["sh", "-n"], input=script.text, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, f"{script.path}: {done.stderr}"


def _run_script(script: str, folder: Path, **variables: str) -> str:
    """Run a script with programs that only say how they were called."""
    for name in ("certbot", "systemctl", "ejabberdctl", "install"):
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho {name} "$@" >>{folder}/calls\n')
        program.chmod(0o755)
    environment = {"PATH": f"{folder}/bin:/usr/bin:/bin", **variables}
    done = subprocess.run(["sh"], input=script, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    calls = folder / "calls"
    return calls.read_text() if calls.exists() else ""


@pytest.mark.parametrize("software", SOFTWARE)
def test_the_hook_installs_the_certificate_and_has_it_read(software: str, tmp_path: Path) -> None:
    exported = export(software)
    hook, kind = text(exported, "certificates/deploy.sh"), exported.spec.software
    assert _run_script(hook, tmp_path, RENEWED_LINEAGE="/etc/letsencrypt/live/example.com") == ""
    calls = _run_script(hook, tmp_path, RENEWED_LINEAGE=f"/etc/letsencrypt/live/{DOMAIN}")
    assert f"live/{DOMAIN}/privkey.pem /etc/{kind}/certs/{DOMAIN}.key" in calls
    configured = text(exported, exported.configuration)
    assert f'"/etc/{kind}/certs' in configured
    assert calls.splitlines()[-1] in (f"systemctl reload {kind}", f"{kind}ctl reload_config")


@pytest.mark.parametrize("software", SOFTWARE)
def test_the_certificate_is_for_every_host(software: str, tmp_path: Path) -> None:
    exported = export(software)
    script = text(exported, "certificates/obtain.sh").replace("/etc/letsencrypt/renewal-hooks/deploy/xmpp", "true")
    calls = _run_script(script, tmp_path)
    assert re.findall(r"--domain (\S+)", calls) == list(exported.spec.hosts)


def test_a_backup_holds_what_is_stored_and_old_ones_go(tmp_path: Path) -> None:
    exported = export("prosody")
    script = text(exported, "daily/xmpp-backup")
    data, target = tmp_path / "data", tmp_path / "copies"
    (data / "example%2eorg/accounts").mkdir(parents=True)
    (data / "example%2eorg/accounts/anna.dat").write_text("keys")
    (tmp_path / "certs").mkdir()
    (tmp_path / "prosody.cfg.lua").write_text("-- mine")
    old, foreign = target / "2020-01-01-040000", target / "notes"
    for folder in (old, foreign):
        folder.mkdir(parents=True)
        os.utime(folder, (0, 0))
    for before, after in (
        ("/var/backups/xmpp", str(target)),
        ("/var/lib/prosody", str(data)),
        ("/etc/prosody/", f"{tmp_path}/"),
    ):
        assert before in script
        script = script.replace(before, after)
    _run_script(script, tmp_path)
    (copy,) = (one for one in target.iterdir() if one != foreign)
    assert copy.stat().st_mode & 0o77 == 0
    assert (copy / "prosody.cfg.lua").read_text() == "-- mine"
    (tmp_path / "back").mkdir()
    archive = copy / "data.tar.gz"
    subprocess.run(["tar", "--extract", "--gzip", "--file", archive, "--directory", tmp_path / "back"], check=True)
    assert (tmp_path / "back/example%2eorg/accounts/anna.dat").read_text() == "keys"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["server"], "which domain?"),
        (["server", "example"], "write one with a dot"),
        (["server", "x_y.example"], "is not a domain"),
        (["server", DOMAIN, "--server", "nobody"], "hidden-island has no server 'nobody': it has island, home, public"),
        (["server", "public.test"], "another server of hidden-island already has public.test"),
        (["server", DOMAIN, "-t", "scripted-peer", "--server", "peer"], "which the lab does not configure"),
        (["server", DOMAIN, "-t", "nothing-like-it"], "no topology 'nothing-like-it'"),
        (["server", DOMAIN, "-o", "there"], "there is there already"),
        (["server", DOMAIN, "-o", "there", "--verify"], "there/prosody/prosody.cfg.lua is not there"),
        (["server", DOMAIN, "-o", "file/below"], "file/below: cannot be written"),
    ],
)
def test_bad_input_is_one_error(
    words: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("")
    assert run(app, ["export", *words]) == 64
    told = capsys.readouterr()
    assert expected in " ".join(told.err.split())
    assert told.err.count("xmpplab:") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "there"], "something was left behind"


def test_what_cannot_be_written_whole_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must be in the server's folder"):
        write_export(tmp_path / "new", [File("a", "1"), File("../b", "2")])
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_and_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(app, ["export", "server", DOMAIN, "-t", "hidden_island", "--server", "public"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "ejabberd 24.12 for example.org" in told
    assert "xmpplab export server example.org -t hidden_island --server public -o example.org --verify" in told
    for change in list_changes(export("ejabberd").files):
        assert change.place in told
        assert change.text in told or change.text.split()[0] in told
    assert (tmp_path / DOMAIN).stat().st_mode & 0o77 == 0


def test_modules_of_the_domain_alone_are_refused_in_a_lab() -> None:
    """The lab's own would take their place, unseen."""
    exported = export("prosody")
    configuration = text(exported, exported.configuration)
    own = configuration.replace(
        f'VirtualHost "{DOMAIN}"\n', f'VirtualHost "{DOMAIN}"\nmodules_enabled = {{ "motd" }}\n'
    )
    assert own != configuration
    software = get_software("prosody")
    for wanted, given in ((None, configuration), ("move them to those above it", own)):
        in_lab = replace(blueprint("prosody"), spec=replace(exported.spec, configuration=given))
        if wanted is None:
            assert [file.path for file in software.render(in_lab).files] == ["prosody.cfg.lua", "exported.cfg.lua"]
        else:
            with pytest.raises(UserError, match=wanted):
                software.render(in_lab)


def test_settings_that_are_not_exported_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(
        "servers: {a: {features: [+websocket, -mam], options: {motd_text: hello}}, b: {}}\nlinks: [{between: [a, b]}]\n"
    )
    assert run(app, ["export", "server", DOMAIN, "-t", "mine.yaml", "--server", "a"]) == 0
    assert "Not exported: options, features: +websocket of a" in " ".join(capsys.readouterr().out.split())
    configuration = (tmp_path / DOMAIN / "prosody/prosody.cfg.lua").read_text()
    assert '"mam"' not in configuration
    assert "motd" not in configuration
