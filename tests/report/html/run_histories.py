"""Runs made by hand for the tests of pages: each stanza as devices and servers saw it, with faults, names, streams."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lab.checks import judge
from lab.history.events import (
    Bounced,
    Delivered,
    DeviceSaw,
    DnsAnswered,
    FaultApplied,
    FaultHealed,
    Note,
    ServerLogged,
    ServerSaw,
    ServerStreamClosed,
    ServerStreamOpened,
    Step,
)
from lab.history.recorder import Recorder
from lab.metrics.record import RunRecord
from lab.plan import files
from lab.report.html.run_page import render
from lab.runner import folders
from tests.checks.sample_history import OMEMO, SampleHistory

SECRET = "canary-0123456789"


def tell_story() -> SampleHistory:
    """Alice (island) writes to Bob (home), in the clear and encrypted; to Carol (public) there is no link."""
    told = SampleHistory()
    alice, bob, carol = told.device("alice", "island"), told.device("bob", "home"), told.device("carol", "public")
    for server, peer in (("island", "home.test"), ("home", "island.test")):
        told.add(ServerStreamOpened, server=server, stream="s2s", direction="out", peer=peer, id=f"{server}-1",
                 tls="TLSv1.3", authentication="EXTERNAL")  # fmt: skip
    told.add(DnsAnswered, asker="island", name="_xmpp-server._tcp.home.test", type="SRV", rcode="NOERROR",
             records=(("SRV", "0 0 20000 127.80.0.2."),))  # fmt: skip
    told.add(Step, text="everyone writes", phase="begin")
    told.say(alice, bob)
    told.say(bob, alice, encryption="omemo", canary=SECRET)
    told.say(alice, carol)
    told.events = [
        replace(one, stanza=_write_stanza(one)) if isinstance(one, ServerSaw) else one for one in told.events
    ]
    told.add(Step, text="everyone writes", phase="end")
    told.expect(held=True, message="m1", step="everyone writes", expected="delivered")
    return told


def _write_stanza(event: ServerSaw) -> str:
    """The XML of a message as servers write it."""
    sealed = f"<encrypted xmlns='{OMEMO}'><header sid='1'/><payload>MwohBQ==</payload></encrypted>"
    inside = sealed if event.encryption else "<body>hello &amp; welcome</body>"
    return f"<message from='{event.sender}' to='{event.receiver}' id='{event.id}'>{inside}</message>"


def tell_loss() -> SampleHistory:
    """The same, but m1 never reaches Bob, while a fault acts and servers log."""
    told = tell_story().finish()
    told.drop(Delivered, message="m1")
    told.drop(ServerSaw, id="m1", server="home", direction="out")
    sent = next(one for one in told.events if getattr(one, "message", None) == "m1")
    told.add(FaultApplied, number=1, fault="partition", began=sent.at - 1, at=sent.at - 0.9, servers=("home",))
    told.add(FaultHealed, number=1, fault="partition", began=sent.at + 1, at=sent.at + 1.1)
    told.add(ServerLogged, server="home", level="error", text="disk full", at=sent.at + 0.2)
    told.add(
        ServerStreamClosed, server="island", stream="s2s", direction="out", peer="home.test", id="island-1",
        tls="TLSv1.3", authentication="EXTERNAL", condition="reset", by="peer", text="gone", at=sent.at + 0.3,
    )  # fmt: skip
    shown = ("home", "all", "CN=an issuer", "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00")
    told.events[0] = replace(
        told.events[0], command="xmpplab run story -t three", machine=(("cores", "2"),), certificates=(shown,)
    )
    return told


def record_of(told: SampleHistory) -> RunRecord:
    """The record of a story."""
    return RunRecord(tuple(told.events), told.plan)


def page_of(told: SampleHistory) -> str:
    """Its page."""
    record = record_of(told)
    return render(record, judge(record))


def write_run(told: SampleHistory, folder: Path) -> Path:
    """The folder of a run, as a run leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    folders.write(folder / folders.PLAN, files.dump(told.plan))
    with Recorder(folder / folders.HISTORY) as recorder:
        for event in told.events:
            recorder.record(event)
    return folder


def tell_hostile(evil: str) -> SampleHistory:
    """A run in which everything that somebody else can choose is `evil`; names that JIDs cannot have are left."""
    told = tell_loss()
    values = {
        "type": evil, "id": None, "text": evil, "reason": evil, "condition": evil, "by": evil, "error_type": evil,
        "stanza": f"<message><body>{evil}</body></message>", "tls": evil, "authentication": evil, "rcode": evil,
        "records": ((evil, evil),), "detail": evil, "error": evil, "actual": evil, "expected": evil, "title": evil,
        "spec": evil, "command": evil, "level": evil, "machine": ((evil, evil),), "address": evil, "resource": evil,
        "certificates": ((evil,) * 5,),
    }  # fmt: skip
    told.add(Bounced, message="m3", device="alice@island.test/phone", condition=evil, by=evil, text=evil)
    told.add(Note, text=evil)
    told.add(DeviceSaw, device=f"alice@island.test/{evil}", stream="x", direction="out", name="message", type=evil,
             id=evil, sender=evil, receiver=evil, stanza=evil)  # fmt: skip
    told.events = [_with(event, values) for event in told.events]
    return told


def _with(event, values):
    """The event with each of its own fields that `values` has; what identifies a message stays."""
    keep = {"expected"} if event.kind == "sent" else set()
    own = {
        name: value
        for name, value in values.items()
        if hasattr(event, name) and name not in keep and value is not None and not _matters(event, name)
    }
    return replace(event, **own)


def _matters(event, name):
    return (event.kind, name) in {("run-ended", "how"), ("step", "text"), ("sent", "type")} or (
        event.kind == "server-saw" and name == "type"
    )


__all__ = ["OMEMO", "SECRET", "page_of", "record_of", "tell_hostile", "tell_loss", "tell_story", "write_run"]
