"""What `xmpplab exposure` costs in CPU for 100,000 stanzas: half messages with OMEMO, half presence.

python benchmarks/exposure.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from _load import Aims

from lab.history.events import Connected, RunEnded, RunStarted, Sent, ServerSaw
from lab.history.recorder import Recorder
from lab.plan import files
from lab.plan.build import build
from lab.plan.model import RuntimeFacts
from lab.report.exposure import Exposure, render
from lab.runner import folders
from lab.runner.judgement import load_record
from lab.topology.files import load

STANZAS, PEOPLE = 100_000, 100
OMEMO = "eu.siacs.conversations.axolotl"


def write(folder: Path) -> None:
    """A run of a hundred people on the servers of many-small."""
    topology = load("many-small")
    (folder / folders.PLAN).write_text(files.dump(build(topology, RuntimeFacts("processes", "127.99.0.0/16", "/lab"))))
    homes = [server.name for server in topology.servers]
    people = [f"p{number}@{homes[number % len(homes)]}.test/phone" for number in range(PEOPLE)]
    with Recorder(folder / folders.HISTORY) as recorder:
        recorder.record(RunStarted(at=1.0, scenario="s", title="", topology=topology.name, runtime="processes"))
        for person in people:
            recorder.record(Connected(at=1.0, device=person, stream=person, encryption="omemo"))
        for number in range(STANZAS // 4):
            one, other = people[number % PEOPLE], people[(number * 7 + number // PEOPLE + 1) % PEOPLE]
            _write_message(recorder, f"m{number}", one, other, homes)
        recorder.record(RunEnded(at=9e5, how="finished"))


def _write_message(recorder: Recorder, name: str, one: str, other: str, homes: list[str]) -> None:
    """A message with OMEMO that two servers see, and the presence of its sender that they see."""
    key = f"<key rid='{1000 + people_number(other)}'>{'A' * 120}</key>"
    recorder.record(Sent(at=2.0, message=name, sender=one, receiver=other, stream=one, encryption="omemo"))
    for kind, inside in (("message", f"<encrypted xmlns='{OMEMO}'><header sid='1'>{key}</header></encrypted>"),
                         ("presence", "<c xmlns='http://jabber.org/protocol/caps'/>")):  # fmt: skip
        stanza = f"<{kind} from='{one}' to='{other}' id='{name}'>{inside}</{kind}>"
        for jid, direction, stream in ((one, "in", "c2s"), (other, "in", "s2s")):
            home = jid.partition("@")[2].partition(".")[0]
            assert home in homes
            recorder.record(
                ServerSaw(
                    at=2.0, server=home, direction=direction, stream=stream, name=kind, id=name, sender=one,
                    type="chat" if kind == "message" else None, receiver=other, size=len(stanza), body=False,
                    encryption=OMEMO if kind == "message" else None, stanza=stanza, peer=one if stream == "c2s" else "",
                )
            )  # fmt: skip


def people_number(jid: str) -> int:
    """The number in the name of one of the people."""
    return int(jid.partition("@")[0][1:])


def main() -> int:
    """The exit code."""
    aims = Aims()
    with tempfile.TemporaryDirectory() as name:
        write(Path(name))
        began = time.process_time()
        record = load_record(Path(name))
        read = time.process_time()
        text = render(Exposure.of_run(record))
        ended = time.process_time()
    assert "who writes to whom" in text
    print(f"of which reading the history: {read - began:.2f} s")
    aims.at_most(f"CPU s of the exposure of {STANZAS} stanzas, read from the folder", ended - began, 5.0)
    return 1 if aims.missed else 0


if __name__ == "__main__":
    sys.exit(main())
