"""What the page of a run costs in CPU, and how large it is: 10,000 stanzas that servers saw, most of them with OMEMO.

python benchmarks/run_page.py
"""

from __future__ import annotations

import base64
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _load import Aims

from lab.checks import judge
from lab.history.events import Connected, Decrypted, Delivered, DeviceSaw, RunEnded, RunStarted, Sent, ServerSaw
from lab.history.recorder import Recorder
from lab.plan import files
from lab.plan.build import build
from lab.plan.model import RuntimeFacts
from lab.report.html.run_page import write_page
from lab.runner import folders
from lab.runner.judgement import load_record
from lab.topology.files import load

STANZAS, PEOPLE = 10_000, 60
OMEMO = "eu.siacs.conversations.axolotl"
_RANDOM = random.Random(1)  # noqa: S311 - no secret


def write(folder: Path, stanzas: int) -> None:
    """A run of sixty people on the servers of many-small; servers saw so many stanzas, four of each message."""
    topology = load("many-small")
    (folder / folders.PLAN).write_text(files.dump(build(topology, RuntimeFacts("processes", "127.99.0.0/16", "/lab"))))
    homes = [server.name for server in topology.servers]
    people = [f"p{number}@{homes[number % len(homes)]}.test/phone" for number in range(PEOPLE)]
    with Recorder(folder / folders.HISTORY) as recorder:
        recorder.record(RunStarted(at=1.0, scenario="s", title="", topology=topology.name, runtime="processes"))
        for person in people:
            recorder.record(Connected(at=1.0, device=person, stream=person, encryption="omemo"))
        for number in range(stanzas // 4):
            one = people[number % PEOPLE]
            other = people[(number % PEOPLE + 1 + number % (len(homes) - 1)) % PEOPLE]
            _write_message(recorder, f"{number:08x}", one, other, 2.0 + 0.01 * number)
        recorder.record(RunEnded(at=3.0 + 0.01 * stanzas, how="finished"))


def _write_message(recorder: Recorder, name: str, one: str, other: str, at: float) -> None:
    """A message from device to device, as every place on its way recorded it."""
    keys = "".join(f"<key rid='{number}'>{_noise(140)}</key>" for number in range(3))
    inside = f"<encrypted xmlns='{OMEMO}'><header sid='1'>{keys}</header><payload>{_noise(60)}</payload></encrypted>"
    bare = other.partition("/")[0]
    stanza = f"<message from='{one}' to='{bare}' type='chat' id='{name}'>{inside}</message>"
    recorder.record(
        Sent(at=at, message=name, sender=one, receiver=bare, stream=one, encryption="omemo", expected=(other,))
    )
    seen: Any = {"name": "message", "type": "chat", "id": name, "sender": one, "receiver": bare, "stanza": stanza}
    recorder.record(DeviceSaw(at=at, device=one, stream=one, direction="out", **seen))
    home, away = (jid.partition("@")[2].partition(".")[0] for jid in (one, other))
    for place, (server, direction, stream, peer) in enumerate(
        ((home, "in", "c2s", one), (home, "out", "s2s", f"{away}.test"), (away, "in", "s2s", f"{home}.test"),
         (away, "out", "c2s", other))
    ):  # fmt: skip
        recorder.record(
            ServerSaw(at=at + 0.001 * place, server=server, direction=direction, stream=stream, size=len(stanza),
                      encryption=OMEMO, body=False, peer=peer, **seen)
        )  # fmt: skip
    recorder.record(DeviceSaw(at=at + 0.005, device=other, stream=other, direction="in", **seen))
    recorder.record(Delivered(at=at + 0.005, message=name, sender=one, device=other, stream=other, via="live"))
    recorder.record(Decrypted(at=at + 0.006, message=name, device=other, encryption="omemo", matches=True, sender=one))


def _noise(size: int) -> str:
    return base64.b64encode(_RANDOM.randbytes(size)).decode()


def measure(stanzas: int) -> tuple[float, float, int]:
    """CPU seconds of reading and judging, of the page, and its bytes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, stanzas)
        began = time.process_time()
        record = load_record(folder)
        judgement = judge(record)
        judged = time.process_time()
        page = write_page(folder, record, judgement)
        return judged - began, time.process_time() - judged, page.stat().st_size


def main() -> int:
    """The exit code."""
    aims = Aims()
    measure(400)  # imports and templates
    judging, drawing, size = measure(STANZAS)
    print(f"reading and judging the history: {judging:.2f} s")
    aims.at_most(f"CPU s of the page of {STANZAS} stanzas", drawing, 3.0)
    aims.at_most(f"MB of the page of {STANZAS} stanzas", size / 1e6, 2.0)
    judging, drawing, size = measure(4 * STANZAS)
    print(f"of {4 * STANZAS}: {judging:.2f} s, {drawing:.2f} s, {size / 1e6:.2f} MB")
    return 1 if aims.missed else 0


if __name__ == "__main__":
    sys.exit(main())
