"""tsung, for comparison: as in its own examples, its delay measurement (`bidi`, `stamped`) on."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: A line of tsung.log tells of ten seconds: a count, a mean and more of each thing measured.
INTERVAL = 10
_CONFIGURATION = """<?xml version="1.0"?>
<!DOCTYPE tsung SYSTEM "/usr/share/tsung/tsung-1.0.dtd">
<tsung loglevel="error" version="1.0">
  <clients><client host="localhost" use_controller_vm="true" maxusers="30000"/></clients>
  <servers><server host="{host}" port="{port}" type="{type}"/></servers>
  <load><arrivalphase phase="1" duration="10" unit="minute">
    <users maxnumber="{users}" arrivalrate="100" unit="second"/>
  </arrivalphase></load>
  <options>
    <option type="ts_jabber" name="userid_max" value="{users}"/>
    <option type="ts_jabber" name="domain" value="{domain}"/>
    <option type="ts_jabber" name="username" value="load"/>
    <option type="ts_jabber" name="passwd" value="{password}"/>
  </options>
  <sessions><session bidi="true" probability="100" name="chat" type="ts_jabber">
    <request><jabber type="connect" ack="local"/></request>{secured}
    <request><jabber type="auth_sasl" ack="local"/></request>
    <request><jabber type="connect" ack="local"/></request>
    <request><jabber type="auth_sasl_bind" ack="local"/></request>
    <request><jabber type="auth_sasl_session" ack="local"/></request>
    <request><jabber type="presence:initial" ack="no_ack"/></request>
    <for from="1" to="1000000" var="i">
      <request><jabber type="chat" ack="no_ack" size="64" destination="online" stamped="{stamped}"/></request>
      <thinktime value="{think}"/>
    </for>
  </session></sessions>
</tsung>
"""


#: In place of direct TLS. A server's features may come after its header: not waited for, they are taken for the answer.
_STARTTLS = """
    <thinktime value="1"/>
    <request><jabber type="starttls" ack="bidi_ack"/></request>
    <request><jabber type="connect" ack="local"/></request>
    <thinktime value="1"/>"""


@dataclass(frozen=True)
class Target:
    """Where users log in. `security` is as in lab.load.spec: none, direct, starttls."""

    host: str
    port: int
    security: str
    domain: str = "a.example"
    password: str = ""


class Tsung:
    """A run that sends users / think messages a second; it ends with the block, and nothing of it is left."""

    def __init__(self, target: Target, users: int, rate: float) -> None:
        self.folder = Path(tempfile.mkdtemp())
        # A node of its own, on loopback only: its epmd too, which is ours to end.
        port = str(40000 + os.getpid() % 10000)
        self.environment = {
            **os.environ, "HOME": str(self.folder), "ERL_EPMD_PORT": port, "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_AFLAGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }  # fmt: skip
        configuration = self.folder / "chat.xml"
        configuration.write_text(
            _CONFIGURATION.format(
                host=target.host, port=target.port, type="ssl" if target.security == "direct" else "tcp", users=users,
                domain=target.domain, password=target.password, think=f"{users / rate:.3f}", stamped="true",
                secured=_STARTTLS if target.security == "starttls" else "",
            )
        )  # fmt: skip
        self.process = subprocess.Popen(
            ["tsung", "-n", "-f", str(configuration), "-l", str(self.folder), "start"], env=self.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    @staticmethod
    def available() -> bool:
        """Whether this machine has tsung."""
        return shutil.which("tsung") is not None

    @property
    def pid(self) -> int:
        """Of its Erlang machine."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if os.getpgid(int(process.name)) == self.process.pid and "beam" in (process / "comm").read_text():
                    return int(process.name)
            except (OSError, ValueError):
                continue
        raise SystemExit("tsung does not run: is it Debian's, version 1.7?")

    def until_all_write(self, routed: Callable[[], int], rate: float) -> None:
        """Wait until the null server routes at that rate."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            before = routed()
            time.sleep(1)
            if routed() - before > 0.9 * rate:
                return
        raise SystemExit(f"tsung never reached {rate:g} messages a second")

    def delays(self) -> list[tuple[float, float]]:
        """For each INTERVAL that is over: messages that came per second, and their mean delay in seconds."""
        lines = [line for log in self.folder.glob("*/tsung.log") for line in log.read_text().splitlines()]
        found = [line.split() for line in lines if line.startswith("stats: xmpp_msg_latency ")]
        return [(int(words[2]) / INTERVAL, float(words[3]) / 1000) for words in found]

    def _end_daemon(self) -> None:
        """End the epmd that Erlang started in a session of its own: the one whose home is our folder."""
        home = f"HOME={self.folder}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if home in (process / "environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)

    def __enter__(self) -> Tsung:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._end_daemon()
        shutil.rmtree(self.folder, ignore_errors=True)
