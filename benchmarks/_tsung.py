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
    <option type="ts_jabber" name="userid_max" value="0"/>
    <option type="ts_jabber" name="domain" value="{domain}"/>
    <option name="file_server" id="people" value="{people}"/>
  </options>
  <sessions><session bidi="true" probability="100" name="chat" type="ts_jabber">
    <setdynvars sourcetype="file" fileid="people" delimiter=";" order="iter">
      <var name="user"/><var name="word"/></setdynvars>
    <request subst="true"><jabber type="connect" ack="local">
      <xmpp_authenticate username="%%_user%%" passwd="%%_word%%"/></jabber></request>
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


@dataclass(frozen=True)
class Target:
    """Where users log in. `security` is "none" or "direct": what 1.7 does for STARTTLS no server understood."""

    host: str
    port: int
    security: str
    domain: str = "a.example"
    password: str = ""


class Tsung:
    """A run that sends users / think messages a second; it ends with the block, and nothing of it is left."""

    def __init__(self, target: Target, users: int, rate: float) -> None:
        self.folder, self.users = Path(tempfile.mkdtemp()), users
        # A node of its own, on loopback only: its epmd too, which is ours to end.
        port = str(40000 + os.getpid() % 10000)
        self.environment = {
            **os.environ, "HOME": str(self.folder), "ERL_EPMD_PORT": port, "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_AFLAGS": "-kernel inet_dist_use_interface {127,0,0,1}", "ERL_INETRC": str(self.folder / "inetrc"),
        }  # fmt: skip
        # In TLS it asks for the host by the name it connects to, and servers refuse a name that is not theirs.
        address = ",".join(target.host.split("."))
        (self.folder / "inetrc").write_text(f'{{host,{{{address}}},["{target.domain}"]}}.\n{{lookup,[file,native]}}.\n')
        people = self.folder / "people.csv"  # its own way of making names puts a number behind the password as well
        people.write_text("".join(f"load{user};{target.password}\n" for user in range(1, users + 1)))
        configuration = self.folder / "chat.xml"
        configuration.write_text(
            _CONFIGURATION.format(
                host=target.domain, port=target.port, type="ssl" if target.security == "direct" else "tcp", users=users,
                domain=target.domain, people=people, think=f"{users / rate:.3f}", stamped="true",
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

    def intervals(self) -> list[tuple[float, float]]:
        """Messages that came per second and their mean delay in seconds, of each INTERVAL in which all users wrote."""
        dumps = [dump for log in self.folder.glob("*/tsung.log") for dump in log.read_text().split("# stats: dump")[1:]]
        found, all_write = [], False
        for dump in dumps:
            lines = (line.split() for line in dump.splitlines() if line.startswith("stats: "))
            told = {words[1]: words[2:] for words in lines}
            if all_write:
                count, mean = told.get("xmpp_msg_latency", ["0", "inf"])[:2]
                found.append((int(count) / INTERVAL, float(mean) / 1000))
            all_write = "connected" in told and int(told["connected"][1]) >= self.users
        return found

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
