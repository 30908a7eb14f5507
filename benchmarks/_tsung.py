"""tsung on the null server, for comparison: as in its own examples, its delay measurement (`bidi`, `stamped`) on."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from _load import Null

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
    <option type="ts_jabber" name="domain" value="a.example"/>
    <option type="ts_jabber" name="username" value="load"/>
    <option type="ts_jabber" name="passwd" value="{password}"/>
  </options>
  <sessions><session bidi="true" probability="100" name="chat" type="ts_jabber">
    <request><jabber type="connect" ack="local"/></request>
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


class Tsung:
    """A run that sends users / think messages a second; it ends with the block, and nothing of it is left."""

    def __init__(self, null: Null, users: int, rate: float, password: str, *, stamped: bool = True) -> None:
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
                host=null.host, port=null.port, type="tcp" if null.security == "none" else "ssl", users=users,
                password=password, think=f"{users / rate:.3f}", stamped=str(stamped).lower(),
            )
        )  # fmt: skip
        self.process = subprocess.Popen(
            ["tsung", "-n", "-f", str(configuration), "-l", str(self.folder), "start"], env=self.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self._until_all_write(null, rate)

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

    def _until_all_write(self, null: Null, rate: float) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            before = null.routed
            time.sleep(1)
            if null.routed - before > 0.9 * rate:
                return
        self.__exit__()
        raise SystemExit(f"tsung never reached {rate:g} messages a second")

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
