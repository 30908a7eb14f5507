"""Somebody's program in a lab: what it finds, that it is itself, and that nothing is left of what carried it."""

from __future__ import annotations

import ctypes
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.errors import UserError
from lab.lifecycle.client_namespace import find_program, name_switch, without_hosts
from lab.network.authority import Authority
from lab.plan.layout import Layout
from lab.plan.model import CertificateRequest, Plan
from lab.system.namespaces import find_problem
from lab.topology.spec import Certificate
from tests.lifecycle.joined_labs import MODULE, NAME, join, joined_lab

DEADLINE = 60
PR_SET_CHILD_SUBREAPER = 36

FIND = """
import json, socket, sys, dns.resolver
with socket.create_connection(("b.test", 5269), 30) as stream:
    stream.sendall(b"x" * 300_000)
    stream.shutdown(socket.SHUT_WR)
    echoed = sum(map(len, iter(lambda: stream.recv(65536), b"")))
def refused(address):
    try:
        socket.create_connection(address, 30).close()
    except ConnectionRefusedError:
        return True
def rcode(name, kind, tcp=False):
    try:
        return [str(one) for one in dns.resolver.resolve(name, kind, tcp=tcp, lifetime=30)]
    except dns.resolver.NXDOMAIN:
        return "NXDOMAIN"
    except dns.resolver.NoAnswer:
        return "empty"
print(json.dumps({
    "address": socket.getaddrinfo("a.test", 5222, socket.AF_INET)[0][4][0],
    "echoed": echoed,
    "srv": rcode("_xmpp-client._tcp.a.test", "SRV"),
    "srv over tcp": rcode("_xmpp-client._tcp.a.test", "SRV", tcp=True),
    "aaaa": rcode("a.test", "AAAA"),
    "elsewhere": rcode("elsewhere.invalid", "A"),
    "refused": refused(("127.0.0.1", int(sys.argv[1]))),
}))
"""


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Layout, Plan]]:
    home = tmp_path_factory.mktemp("home")
    before = os.environ.get("XMPPLAB_HOME")
    os.environ["XMPPLAB_HOME"] = str(home)
    try:
        with joined_lab(home) as made:
            tried = join("--", "true")
            _, err = tried.communicate(timeout=DEADLINE)
            if tried.returncode == 69:
                pytest.skip(err)
            yield made
    finally:
        if before is None:
            del os.environ["XMPPLAB_HOME"]
        else:
            os.environ["XMPPLAB_HOME"] = before


def output(*words: str) -> str:
    """What the program wrote to its standard output; it must have ended well."""
    process = join(*words)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, err
    return str(out)


def shell(script: str, *options: str) -> str:
    return output(*options, "--", "sh", "-c", script)


def test_it_finds_the_labs_names_and_servers_and_no_others(there: tuple[Layout, Plan]) -> None:
    _, plan = there
    with socket.create_server(("127.0.0.1", 0)) as outside:  # of this machine, where the program is not
        port = str(outside.getsockname()[1])
        found = json.loads(output("--", sys.executable, "-c", FIND, port))
    assert found == {
        "address": plan.server("a").address,
        "echoed": 300_000,
        "srv": ["0 0 5222 a.test."],
        "srv over tcp": ["0 0 5222 a.test."],
        "aaaa": "empty",
        "elsewhere": "NXDOMAIN",
        "refused": True,
    }


def test_a_program_inside_can_start_another_one_in_the_lab(there: tuple[Layout, Plan]) -> None:
    words = shlex.join([sys.executable, "-P", "-m", MODULE, NAME, "--", "getent", "hosts", "b.test"])
    assert shell(words).split() == [there[1].server("b").address, "b.test"]


def test_it_trusts_the_labs_authority_wherever_programs_look(there: tuple[Layout, Plan], tmp_path: Path) -> None:
    layout, _ = there
    names = ("a.test",)
    Authority.load(layout.authority).issue_pair(CertificateRequest("a.test", names, Certificate.VALID), tmp_path)
    certificate = tmp_path / "a.test.crt"
    script = f"""
        openssl verify -no-CAfile -CApath /etc/ssl/certs {certificate}
        for file in "$SSL_CERT_FILE" "$REQUESTS_CA_BUNDLE" "$CURL_CA_BUNDLE" "$NODE_EXTRA_CA_CERTS"; do
            openssl verify -no-CApath -CAfile "$file" {certificate}
        done
    """
    assert shell(script).split() == [f"{certificate}:", "OK"] * 5
    outside = subprocess.run(["openssl", "verify", str(certificate)], capture_output=True, text=True, check=False)
    assert outside.returncode != 0, "this machine itself must not trust it"


def test_it_is_the_process_that_was_started(there: tuple[Layout, Plan], tmp_path: Path) -> None:
    script = "echo $$ $PWD; echo $(cat /proc/$$/task/$$/children); grep SigIgn /proc/$$/status; exit 7"
    process = join("--", "sh", "-c", script, cwd=tmp_path)
    out, err = process.communicate(timeout=DEADLINE)
    first, children, ignored = out.splitlines()
    assert (first, err, process.returncode) == (f"{process.pid} {tmp_path}", "", 7)
    assert len(children.split()) == 1, "the shell that runs cat is the only child"
    assert not int(ignored.split()[1], 16) & 1 << signal.SIGPIPE - 1, "it must be ended by a closed pipe"


def test_its_home_is_empty_and_in_memory_and_its_account_a_persons(there: tuple[Layout, Plan]) -> None:
    layout, plan = there
    layout.person("a", "alice").mkdir(parents=True, exist_ok=True)
    look = 'ls -A "$HOME"; echo x >"$HOME/file"; cat "$HOME/file"; stat -c %a "$HOME"; '
    shown = shell(
        look + "echo $XMPPLAB_JID $XMPPLAB_DOMAIN $XMPPLAB_ADDRESS $XMPPLAB_PASSWORD", "--home", "--as", "alice@a"
    )
    password = layout.secret.read_text().split()[0]
    assert shown.split() == ["x", "700", "alice@a.test", "a.test", plan.server("a").address, password]
    assert list((layout.root / "home").iterdir()) == []


@pytest.mark.parametrize("name", ["no-such-program", "/no/such/program"])
def test_a_program_that_does_not_exist_is_one_error(there: tuple[Layout, Plan], name: str) -> None:
    process = join("--", name)
    out, err = process.communicate(timeout=DEADLINE)
    assert (out, process.returncode) == ("", 64)
    assert err.startswith(f"xmpplab: {name}: ") and err.count("\n") == 1


#: Starts a program as somebody who may have no namespaces: without capabilities, where the limit of namespaces is 0.
FORBID = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
uid, gid = os.getuid(), os.getgid()
assert libc.unshare(0x10000000) == 0  # CLONE_NEWUSER
open("/proc/self/setgroups", "w").write("deny")
open("/proc/self/uid_map", "w").write(f"{uid} {uid} 1")
open("/proc/self/gid_map", "w").write(f"{gid} {gid} 1")
open("/proc/sys/user/max_user_namespaces", "w").write("0")
for capability in range(64):
    libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: none are left after exec
os.execvp(sys.argv[1], sys.argv[1:])
"""


def test_where_there_are_no_namespaces_it_says_what_is_left(there: tuple[Layout, Plan]) -> None:
    words = [sys.executable, "-c", FORBID, sys.executable, "-P", "-m", "lab.lifecycle.client_namespace", NAME]
    done = subprocess.run([*words, "--", "true"], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 69, done.stderr
    assert "/proc/sys/user/max_user_namespaces says so" in done.stderr
    assert f"`xmpplab env --name {NAME}`" in done.stderr


def test_whether_there_are_namespaces_is_found_without_entering_them() -> None:
    """As `xmpplab doctor` does it: this process stays where it is."""
    code = "from lab.system.namespaces import find_problem; print(find_problem())"
    own = Path("/proc/self/ns/net")
    before = own.readlink()
    assert find_problem() == "" and own.readlink() == before
    done = subprocess.run(
        [sys.executable, "-c", FORBID, sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE
    )
    assert "no namespaces" in done.stdout and "/proc/sys/user/max_user_namespaces says so" in done.stdout, done.stderr


@pytest.fixture
def children() -> Iterator[None]:
    """Orphans of this process's children become its own children, so that it sees when they end."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    yield
    libc.prctl(PR_SET_CHILD_SUBREAPER, 0)


def list_children() -> set[int]:
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


def started(*words: str) -> tuple[subprocess.Popen[str], int]:
    """A program that waits, and the process that carries its connections."""
    before = list_children()
    process = join("--", "sh", "-c", "echo started; exec sleep 600")
    assert process.stdout is not None and process.stdout.readline() == "started\n"
    (helper,) = list_children() - before - {process.pid}
    return process, helper


def ends(pid: int) -> bool:
    """Whether a child process ends within the deadline; it is reaped then."""
    with open(os.pidfd_open(pid), closefd=True) as handle:  # noqa: PTH123 - a descriptor
        ended = bool(select.select([handle], [], [], DEADLINE)[0])
    return ended and os.waitpid(pid, 0)[0] == pid


def test_what_carries_its_connections_ends_with_it_however_it_ends(there: tuple[Layout, Plan], children: None) -> None:
    process, helper = started()
    process.kill()
    process.communicate(timeout=DEADLINE)
    assert ends(helper)


@pytest.mark.slow
def test_it_outlives_what_carries_its_connections(there: tuple[Layout, Plan], children: None) -> None:
    process, helper = started()
    os.kill(helper, signal.SIGKILL)
    assert ends(helper) and process.poll() is None
    process.terminate()
    process.communicate(timeout=DEADLINE)
    assert process.returncode == -signal.SIGTERM


@pytest.mark.slow
def test_with_a_parent_it_ends_when_that_ends(there: tuple[Layout, Plan], children: None) -> None:
    before = list_children()
    words = [sys.executable, "-P", "-m", "lab.lifecycle.client_namespace", NAME, "--parent"]
    script = (
        f"import os, subprocess; subprocess.run([*{words!r}, str(os.getpid()), '--', 'sh', '-c', 'echo $$; sleep 600'])"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait(DEADLINE)
    assert ends(pid)
    parent.stdout.close()
    deadline = time.monotonic() + DEADLINE
    for orphan in list_children() - before:  # the carrier, and `sleep`, which is the program's own affair
        if Path(f"/proc/{orphan}/comm").read_text() == "sleep\n":
            os.kill(orphan, signal.SIGKILL)
        assert ends(orphan) and time.monotonic() < deadline


def test_names_are_asked_of_files_and_the_name_server_only() -> None:
    text = "passwd: files\nhosts: mymachines resolve [!UNAVAIL=return] files dns\n"
    assert name_switch(text) == "passwd: files\nhosts: files dns\n"


def test_lines_of_the_labs_hosts_are_left_out() -> None:
    text = "127.0.0.1 localhost # a.test\n127.80.1.0\ta.test other\n10.0.0.1 b.example"
    assert without_hosts(text, frozenset({"a.test"})) == "127.0.0.1 localhost # a.test\n10.0.0.1 b.example"


def test_a_program_that_cannot_be_started_is_named_with_the_reason(tmp_path: Path) -> None:
    script = tmp_path / "my script"
    script.write_text("#!/bin/sh\n")
    for name, said in (
        (str(script), r"is not executable: make it so with `chmod \+x '"),
        (str(tmp_path / "nothing"), "there is no such program"),
        (str(tmp_path), "there is no such program"),
        ("no-such-program", r"not found in PATH \("),
    ):
        with pytest.raises(UserError, match=said):
            find_program(name)
    script.chmod(0o700)
    assert find_program(str(script)) == str(script)
