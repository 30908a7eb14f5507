"""Histories made by hand: an honest federation that does what it should, for tests that then break it.

The topology: island - home - public, island and public without a link (nxdomain). Whoever `say` has write gets what an
honest federation gives: every hop seen, delivery or refusal, decryption, and after `finish` markers and searches.
"""

from lab.history.events import (
    Bounced,
    CanaryFound,
    Connected,
    Decrypted,
    Delivered,
    Expectation,
    RouteSettled,
    RunEnded,
    RunStarted,
    Searched,
    Sent,
    ServerSaw,
)
from lab.plan.model import CertificateRequest, Plan, RuntimeFacts, ServerPlan
from lab.servers import get_software
from lab.topology.spec import Certificate, Feed, Link, Server, Topology, Unlinked

OMEMO = "eu.siacs.conversations.axolotl"
SERVERS = ("island", "home", "public")
PLACES = ("feed", "store", "archive", "log")


def plan(servers=None, links=(("island", "home"), ("home", "public")), unlinked=Unlinked.NXDOMAIN):
    servers = servers or tuple(
        Server(name=name, domain=f"{name}.test", software="ejabberd" if name == "public" else "prosody", version="")
        for name in SERVERS
    )
    plans = tuple(
        ServerPlan(
            spec=server,
            address=f"127.80.1.{number}",
            folder="/lab",
            hosts=(server.domain, f"conference.{server.domain}"),
            certificate=CertificateRequest(server.domain, (server.domain,), Certificate.VALID),
            files=(),
            command=("true",),
            environment=(),
            dns=("127.80.0.2", 5400),
            probes=(),
            memory=0,
        )
        for number, server in enumerate(servers)
    )
    topology = Topology("three", "", tuple(servers), tuple(Link(a, b) for a, b in links), unlinked)
    return Plan(topology, RuntimeFacts("processes", "127.80.0.0/16", "/lab"), "127.80.0.2", plans, ())


class SampleHistory:
    """Builds a history event by event; `events` is the list that a test may change."""

    def __init__(self, the_plan=None, expects=()):
        self.plan = the_plan or plan()
        self.time = 1000.0
        self.events = []
        self.number = 0
        self.canaries = []
        self.routes = {}
        self.streams = {}
        self.add(RunStarted, scenario="story", title="A story.", topology="three", runtime="processes", expects=expects)

    def add(self, kind, **values):
        self.time += 0.01
        event = kind(**{"at": self.time, **values})
        self.events.append(event)
        return event

    def device(self, user, server, resource="phone", encryption="plain"):
        jid = f"{user}@{server}.test/{resource}"
        self.streams[jid] = f"stream-{jid}"
        self.add(Connected, device=jid, stream=self.streams[jid], encryption=encryption)
        return jid

    def saw(self, message, server, direction, stream, sent, **values):
        text = sent.canary if sent.encryption == "plain" else "MwohBQ=="
        self.add(
            ServerSaw,
            **{
                "server": server, "direction": direction, "stream": stream, "name": "message", "type": "chat",
                "id": message, "sender": sent.sender, "receiver": sent.receiver, "size": 200,
                "encryption": OMEMO if sent.encryption != "plain" else None, "body": sent.encryption == "plain",
                "stanza": f"<message id='{message}'>{text}</message>",
                **values,
            },
        )  # fmt: skip

    def say(self, sender, *devices, to=None, encryption="plain", canary=None, marker=False):
        """A message from a device to all devices of a person, with everything that follows from it."""
        self.number += 1
        message = f"m{self.number}"
        sent = self.add(
            Sent, message=message, sender=sender, receiver=to or devices[0].split("/")[0], stream=self.streams[sender],
            encryption=encryption, marker=marker, canary=canary, expected=tuple(devices),
        )  # fmt: skip
        if canary:
            self.canaries.append((canary, message, encryption))
        a, b = (self._server(jid) for jid in (sender, devices[0]))
        self.saw(message, a, "in", "c2s", sent)
        if a != b and self.plan.topology.link(a, b) is None:
            refusal = get_software(self.plan.topology.server(a).software).refusal("", self.plan.topology.unlinked)
            self.add(Bounced, message=message, device=sender, condition=refusal.conditions[0], by=f"{b}.test")
            return message
        if a != b:
            self.saw(message, a, "out", "s2s", sent)
            self.saw(message, b, "in", "s2s", sent)
        for device in devices:
            self.saw(message, b, "out", "c2s", sent)
            self.add(
                Delivered, message=message, sender=sender, device=device, stream=self.streams[device], via="live",
                marker=marker,
            )  # fmt: skip
            if encryption != "plain":
                self.add(Decrypted, message=message, device=device, encryption=encryption, matches=True)
            if not marker:
                self.routes[sender, device] = None
        return message

    def finish(self, how="finished", detail="", search=True):
        """Settle every route, search every place, end the run."""
        for sender, device in list(self.routes):
            self.say(sender, device, to=device, marker=True)
            self.add(RouteSettled, sender=sender, receiver=device, arrived=True)
        for server in self.plan.topology.servers if search else ():
            for place in PLACES if server.feed is Feed.FULL else PLACES[1:]:
                self.add(
                    Searched, server=server.name, place=place, files=1, bytes=10, canaries=len(self.canaries),
                    control=True if place in ("feed", "archive") else None,
                )  # fmt: skip
                self._readable(server.name, place)
        self.add(RunEnded, how=how, detail=detail)
        return self

    def expect(self, held=True, message=None, **values):
        self.add(
            Expectation,
            **{"expected": "delivered once", "actual": "bounced", "held": held, "message": message, **values},
        )

    def index(self, kind, **values):
        """Place of the first event of a kind with these values."""
        return next(
            place
            for place, event in enumerate(self.events)
            if type(event) is kind and all(getattr(event, key) == value for key, value in values.items())
        )

    def drop(self, kind, **values):
        """Take out every event of a kind with these values; at least one."""
        kept = [
            event
            for event in self.events
            if not (type(event) is kind and all(getattr(event, key) == value for key, value in values.items()))
        ]
        assert len(kept) < len(self.events)
        self.events[:] = kept

    def _readable(self, server, place):
        if place not in ("feed", "archive"):
            return
        for canary, message, encryption in self.canaries:
            seen = any(type(one) is ServerSaw and one.server == server and one.id == message for one in self.events)
            if encryption == "plain" and seen:
                self.add(
                    CanaryFound, server=server, place=place, canary=canary, encoding="raw", where=place, message=message
                )

    def _server(self, jid):
        return jid.split("@")[1].split(".")[0]
