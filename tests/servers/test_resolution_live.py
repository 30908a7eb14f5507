"""Every name that a server looks up is answered by the lab or by nobody, as its system calls show."""

import re
import shutil
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

pytestmark = [pytest.mark.live, pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")]

TOPOLOGY = """
name: resolution
servers:
  ours-p: {software: prosody}
  ours-e: {software: ejabberd}
  bare: {software: ejabberd}
  named: {software: prosody}
  nowhere: {software: prosody, domain: nowhere.invalid}
links:
  - {between: [ours-p, bare], comes_up: false}
  - {between: [ours-e, bare], comes_up: false}
  - {between: [ours-p, named], comes_up: false}
  - {between: [ours-e, named], comes_up: false}
unlinked: nxdomain
"""

ADDRESS = re.compile(r'sin6?_port=htons\((\d+)\).*?(?:inet_addr\("|AF_INET6, ")([0-9a-f.:]+)"')


def test_no_name_is_looked_up_outside_and_names_and_addresses_of_the_lab_lead_to_servers(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(TOPOLOGY)
    trace, scenario = tmp_path / "trace", Path(__file__).with_name("resolution.py")
    strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(trace)]
    command = [str(Path(sys.executable).with_name("xmpplab")), "run", str(scenario), "-t", "topology.yaml"]
    done = subprocess.run(
        [*strace, *command, "--runtime", "processes"], cwd=tmp_path, capture_output=True, text=True, timeout=180,
        check=False,
    )  # fmt: skip
    said = [line for line in done.stdout.splitlines() if line.startswith("ours-")]
    for server in ("ours-p", "ours-e"):
        assert any(re.match(rf"{server} bare: delivered to \S+ \(live\)$", line) for line in said), done.stdout
        assert any(re.match(rf"{server} named: delivered to \S+ \(live\)$", line) for line in said), done.stdout
        assert any(re.match(rf"{server} nowhere: bounced .* remote-server-not-found$", line) for line in said), said
    assert "ours-e ejabberdctl: 0" in said, done.stdout
    assert any(line.startswith("ours-p prosodyctl: ") for line in said), done.stdout
    assert "SRV record" in done.stdout, "prosodyctl has looked nothing up"
    found = ADDRESS.findall(trace.read_text(errors="replace"))
    assert found, "nothing was traced"
    # The lab's name server has other ports; a resolver of the machine may listen on loopback, too.
    outside = {(address, port) for port, address in found if port == "53" or not ip_address(address).is_loopback}
    assert not outside, f"addresses outside of the lab: {sorted(outside)}"
