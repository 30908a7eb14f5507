"""The events of a run: the language that scenarios, checks and reports share.

Each event is a frozen dataclass with one sentence; `at` is seconds since the epoch, as the machine that saw
it says. A history is a file of JSON lines, one event a line, its kind under the key `event` and its number, from 1 on,
under `seq`. Whatever is judged or drawn later is a function of these lines and of the plan beside them.

JIDs are strings: `bare` is user@domain, `full` is user@domain/resource (RFC 7622).
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.history.event import Event as Event
from lab.history.key_events import DeviceListRead as DeviceListRead
from lab.history.key_events import LeftOut as LeftOut

#: The version of the file's format. 1 had no numbers.
FORMAT = 2

# What describes a fault, as JSON has it.
FieldValue = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """A scenario began on a topology."""

    kind = "run-started"
    scenario: str
    title: str
    topology: str
    runtime: str
    spec: str = ""
    # Check name -> verdict that makes the run valid; or -> software ("ejabberd@24.12") -> that verdict on its servers.
    expects: tuple[tuple[str, str | tuple[tuple[str, str], ...]], ...] = ()
    command: str = ""  # what repeats the run, with its topology and faults, and so their seeds; "" if there is none
    machine: tuple[tuple[str, str], ...] = ()  # what it ran on: name and value, such as "kernel"; () if not recorded
    # Certificates that servers had then: server, shown to ("all", "servers", "clients"), issuer, valid from, until.
    certificates: tuple[tuple[str, ...], ...] = ()
    format: int = 1  # the version of the history's format, `FORMAT` when it was recorded


@dataclass(frozen=True, kw_only=True)
class RunEnded(Event):
    """The scenario returned, or ended with an error of its own or of the lab."""

    kind = "run-ended"
    how: str  # "finished", "expectation", "missing", "lab-error", "peer-error", "script-error", "not-applicable", ...
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Connected(Event):
    """A device has a live stream: bound, roster fetched, available with priority 0 (RFC 6121 section 4.2)."""

    kind = "connected"
    device: str  # full JID
    stream: str  # unique per live stream
    encryption: str = ""  # a declared name: what it can read beside plain text; "plain": nothing, "": it was not said
    resumed: bool = False  # the stream before went on over a new connection (XEP-0198 section 5)
    omemo_device: int | None = None  # its OMEMO device id, None without OMEMO


@dataclass(frozen=True, kw_only=True)
class Disconnected(Event):
    """A device's live stream ended."""

    kind = "disconnected"
    device: str
    stream: str
    reason: str = ""
    unacknowledged: tuple[str, ...] = ()  # messages it was handed of which the server may not know (XEP-0198)
    resumable: bool = False  # the server may have kept the stream (XEP-0198 section 5)


@dataclass(frozen=True, kw_only=True)
class PresenceSent(Event):
    """A connected device sent presence: whether it is available, and its priority (RFC 6121 section 4)."""

    kind = "presence-sent"
    device: str  # full JID
    stream: str
    available: bool
    priority: int = 0  # -128 to 127
    show: str = ""  # "away", "chat", "dnd", "xa"


@dataclass(frozen=True, kw_only=True)
class Blocked(Event):
    """A person blocked somebody (XEP-0191): their server has accepted it."""

    kind = "blocked"
    person: str  # bare JID
    jid: str  # who is blocked: a bare or full JID, or a domain


@dataclass(frozen=True, kw_only=True)
class Unblocked(Event):
    """A person unblocked somebody (XEP-0191): their server has accepted it."""

    kind = "unblocked"
    person: str
    jid: str


@dataclass(frozen=True, kw_only=True)
class SubscriptionSent(Event):
    """A person asked for, granted, refused or gave up a presence subscription (RFC 6121 section 3)."""

    kind = "subscription-sent"
    person: str  # bare JID
    contact: str  # bare JID of the other
    type: str  # of the presence: "subscribe", "subscribed", "unsubscribe", "unsubscribed"


@dataclass(frozen=True, kw_only=True)
class RosterRead(Event):
    """A person's roster, read from their server (RFC 6121 section 2)."""

    kind = "roster-read"
    person: str  # bare JID
    items: tuple[tuple[str, str, str], ...]  # bare JID, subscription, ask ("subscribe" or ""), of each contact


@dataclass(frozen=True, kw_only=True)
class PostPublished(Event):
    """A person published a post (XEP-0277): their server has stored it."""

    kind = "post-published"
    person: str  # bare JID
    item: str  # its id
    access: str  # access model of the node (XEP-0060 section 4.5): "presence", "open", ...


@dataclass(frozen=True, kw_only=True)
class Followed(Event):
    """A person subscribed to somebody's posts (XEP-0277, XEP-0060 section 6.1): the author's server has accepted it."""

    kind = "followed"
    person: str  # bare JID
    author: str  # bare JID


@dataclass(frozen=True, kw_only=True)
class Unfollowed(Event):
    """A person ended the subscription to somebody's posts (XEP-0060 section 6.2)."""

    kind = "unfollowed"
    person: str  # bare JID
    author: str  # bare JID


@dataclass(frozen=True, kw_only=True)
class FileUploaded(Event):
    """A device uploaded a file (XEP-0363): its server has stored it."""

    kind = "file-uploaded"
    device: str  # full JID
    url: str  # without the key of an encrypted file
    size: int  # bytes
    sha256: str  # hex
    encrypted: bool = False  # before it was uploaded (XEP-0454)
    stored: str = ""  # sha256, hex, of what the server has; "" where it is not known
    canaries: tuple[str, ...] = ()  # the secret texts inside, and the key of an encrypted file, in hex


@dataclass(frozen=True, kw_only=True)
class FileFetched(Event):
    """A device fetched an uploaded file (XEP-0363 section 6), with a certificate that is valid for its host."""

    kind = "file-fetched"
    device: str  # full JID
    url: str
    size: int  # bytes
    sha256: str  # hex


@dataclass(frozen=True, kw_only=True)
class Sent(Event):
    """A device wrote a message to its stream."""

    kind = "sent"
    message: str  # the stanza's id attribute, "" without one; messages that the lab itself writes have unique ones
    sender: str  # full JID; of a scripted server that speaks for somebody of another one, that server's domain
    receiver: str  # bare or full JID; a room's bare JID for a room
    stream: str
    encryption: str  # the name of a declared encryption: "plain", "omemo"
    room: bool = False
    marker: bool = False  # sent by settle(), not by the scenario
    canary: str | None = None  # the secret text inside, if any
    expected: tuple[str, ...] = ()  # full JIDs that must get it (RFC 6121 section 8.5); a bare JID: whoever comes next
    claimed: str = ""  # the stanza's `from` where it is not the sender's own: the message is forged
    corrects: str = ""  # the id of the message that it replaces (XEP-0308)
    receipt: bool = False  # it asks for a receipt (XEP-0184)
    private: bool = False  # it asks servers to make no carbon copies (XEP-0280 section 9)


@dataclass(frozen=True, kw_only=True)
class ReceiptReceived(Event):
    """A device got a receipt for a message that it had sent (XEP-0184)."""

    kind = "receipt-received"
    message: str  # the id of the message that was received
    device: str  # full JID of its sender
    by: str  # full JID of the device that says that it has it


@dataclass(frozen=True, kw_only=True)
class RoomJoined(Event):
    """A device is an occupant of a room (XEP-0045 section 7.2): the room has confirmed it."""

    kind = "room-joined"
    device: str  # full JID
    room: str  # bare JID
    nick: str


@dataclass(frozen=True, kw_only=True)
class AffiliationSet(Event):
    """A person got another affiliation with a room (XEP-0045 section 5.2): the room has accepted it."""

    kind = "affiliation-set"
    room: str  # bare JID
    person: str  # bare JID
    affiliation: str  # "owner", "admin", "member", "none", "outcast"


@dataclass(frozen=True, kw_only=True)
class OccupantsRead(Event):
    """Who is in a room: as its presences have shown one device, or as the room itself says (XEP-0045 section 9)."""

    kind = "occupants-read"
    room: str  # bare JID
    reader: str  # full JID of the device; the room's own JID for its own list
    occupants: tuple[str, ...]  # full room JIDs


@dataclass(frozen=True, kw_only=True)
class ArchiveRead(Event):
    """What a message archive holds (XEP-0313), read whole at the end of a run in which a fault acted."""

    kind = "archive-read"
    archive: str  # bare JID of the person or the room
    messages: tuple[str, ...]  # ids of the stanzas, oldest first


@dataclass(frozen=True, kw_only=True)
class RoomLeft(Event):
    """A device is no occupant of a room any more (XEP-0045): it left, was removed, or its stream ended."""

    kind = "room-left"
    device: str  # full JID
    room: str  # bare JID
    codes: tuple[str, ...] = ()  # of the room's presence, such as "307" for a kick; () where the stream ended


@dataclass(frozen=True, kw_only=True)
class NotSent(Event):
    """A message announced by `Sent` was not handed to the stream after all: nothing of it left the device."""

    kind = "not-sent"
    message: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Delivered(Event):
    """A device received a message."""

    kind = "delivered"
    message: str
    sender: str  # as the stanza's `from` says
    device: str  # full JID of the device that got it
    stream: str
    via: str  # "live", "offline", "archive", "carbon"
    marker: bool = False
    matches: bool | None = None  # the readable text is the one that was sent; None: encrypted, or not known


@dataclass(frozen=True, kw_only=True)
class Bounced(Event):
    """A message was returned to its sender as a stanza of type error (RFC 6120 section 8.3)."""

    kind = "bounced"
    message: str
    device: str  # full JID of the sender that got the error
    condition: str  # "remote-server-not-found", ...
    by: str  # the error's `from`
    error_type: str = ""  # "cancel", "wait", ...
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Decrypted(Event):
    """A device decrypted a message; `matches` says whether the plaintext is the one that was sent."""

    kind = "decrypted"
    message: str
    device: str
    encryption: str
    matches: bool | None = None  # None: the lab does not know what was sent
    sender_key: str = ""  # hex fingerprint of the sending device's identity key
    trust: str = ""
    sender: str = ""  # as the stanza's `from` says; "" in histories of earlier versions


@dataclass(frozen=True, kw_only=True)
class NotDecrypted(Event):
    """A device received an encrypted message that it could not decrypt."""

    kind = "not-decrypted"
    message: str
    device: str
    encryption: str
    reason: str
    sender: str = ""  # as the stanza's `from` says; "" in histories of earlier versions


@dataclass(frozen=True, kw_only=True)
class ServerSaw(Event):
    """A server handled a stanza; in a `meta` feed `stanza` is None."""

    kind = "server-saw"
    server: str  # the server's name in the topology
    direction: str  # "in", "out"
    stream: str  # "c2s", "s2s"
    name: str  # "message", "presence", "iq"
    type: str | None
    id: str | None
    sender: str | None
    receiver: str | None
    size: int  # bytes, serialised
    encryption: str | None  # namespace of the child that shows its encryption
    body: bool  # a <body/> that is not merely an encrypted message's fallback
    stanza: str | None  # the whole XML
    peer: str = ""  # who is authenticated at the stream's other end: a domain, or a full JID; "" if it is not recorded


@dataclass(frozen=True, kw_only=True)
class ServerStreamOpened(Event):
    """A server authenticated a stream, or was authenticated on one: stanzas may pass (RFC 6120 section 4.3)."""

    kind = "server-stream-opened"
    server: str  # the server's name in the topology
    stream: str  # "c2s", "s2s"
    direction: str  # "in": the peer opened it, "out": the server did
    peer: str  # full JID of a client, domain of a server
    id: str  # of the stream (RFC 6120 section 4.7.3), the same when it is closed; "" if there was none
    tls: str  # "TLSv1.3", "TLS" where the server does not say which version, "" without
    authentication: str  # SASL mechanism or "dialback"
    address: str = (
        ""  # IP address that an incoming stream came from, as the server sees it; "" where it is not recorded
    )


@dataclass(frozen=True, kw_only=True)
class ServerStreamClosed(Event):
    """A stream of a server ended, or could not be opened: then `authentication` is empty."""

    kind = "server-stream-closed"
    server: str
    stream: str
    direction: str
    peer: str  # "" if it was never said
    id: str
    tls: str
    authentication: str
    condition: str = ""  # of the stream error (RFC 6120 section 4.9.3), "" without one
    by: str = ""  # who sent the error: "server" or "peer"; "" without one
    text: str = ""  # what the error or the server says beside


@dataclass(frozen=True, kw_only=True)
class DnsAnswered(Event):
    """The lab's name server answered a question."""

    kind = "dns-answered"
    asker: str  # name of the server that asked, "" for others of the lab, "?" for any other host
    name: str
    type: str  # "SRV", "A"
    rcode: str  # "NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "DROP": no answer
    records: tuple[tuple[str, str], ...] = ()  # type and value of each


@dataclass(frozen=True, kw_only=True)
class ServerLogged(Event):
    """A server wrote a warning or an error into its log."""

    kind = "server-logged"
    server: str
    level: str  # "warning", "error"
    text: str


@dataclass(frozen=True, kw_only=True)
class DeviceSaw(Event):
    """A device received or sent a stanza on its live stream."""

    kind = "device-saw"
    device: str  # full JID
    stream: str
    direction: str  # "in": received, "out": sent
    name: str  # "message", "presence", "iq"
    type: str | None
    id: str | None
    sender: str | None
    receiver: str | None
    stanza: str  # the whole XML


@dataclass(frozen=True, kw_only=True)
class Searched(Event):
    """A place of a server was searched for every canary."""

    kind = "searched"
    server: str
    place: str  # "feed", "store", "archive", "uploads", "log"
    files: int
    bytes: int
    canaries: int
    control: bool | None = None  # the text that must be there was found; None: no text must be there


@dataclass(frozen=True, kw_only=True)
class CanaryFound(Event):
    """A canary was readable in a place of a server."""

    kind = "canary-found"
    server: str  # of what passed a link: the one that opened the stream
    place: str  # as in `searched`, or "link"
    canary: str
    encoding: str  # "raw", "base64", "hex"
    where: str  # file name relative to the server's folder, a stanza's id, or a link
    message: str | None = None


@dataclass(frozen=True, kw_only=True)
class Step(Event):
    """A step of the scenario began or ended."""

    kind = "step"
    text: str
    phase: str  # "begin", "end"
    failed: bool = False


@dataclass(frozen=True, kw_only=True)
class Expectation(Event):
    """An expectation of the scenario, and whether it held."""

    kind = "expectation"
    expected: str
    actual: str
    held: bool
    step: str = ""
    message: str | None = None
    timed_out: bool = False
    check: str = ""  # the name of the check that judges the same, if one does


@dataclass(frozen=True, kw_only=True)
class TableRecorded(Event):
    """The scenario measured something for each cell of a table."""

    kind = "table-recorded"
    title: str
    head: tuple[str, ...]  # the columns' names
    rows: tuple[tuple[str, ...], ...]  # as many cells in each
    notes: tuple[str, ...] = ()  # below the table: what its words mean


@dataclass(frozen=True, kw_only=True)
class RouteSettled(Event):
    """settle() tried a marker on a route that was used; without an arrival nothing can be said of what is missing."""

    kind = "route-settled"
    sender: str  # full JID
    receiver: str  # full JID, or a room
    arrived: bool
    broken: bool = False  # a stream of this route was broken while it was used
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class FaultApplied(Event):
    """A fault was applied to the running network, or could not be: then `error` says why."""

    kind = "fault-applied"
    number: int  # of the injection in this run, from 1; its `fault-healed` has the same
    fault: str  # its name, "partition"
    began: float  # seconds since the epoch, when applying began; `at` is when it ended
    servers: tuple[str, ...] = ()  # names of the servers it acts on
    fields: tuple[tuple[str, FieldValue], ...] = ()  # what else describes it
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class FaultHealed(Event):
    """A fault was healed, or could not be: then `error` says why, and what follows happened under the fault."""

    kind = "fault-healed"
    number: int
    fault: str
    began: float  # seconds since the epoch, when healing began; `at` is when it ended
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Intervened(Event):
    """An attack acted on a stanza, on a link or between a client and its server."""

    kind = "intervened"
    attack: str  # name of the fault
    action: str  # of a rule: "drop"; "send" where the attacker sent it
    source: str  # name of the server that sent the stanza, or full JID of the client
    target: str
    name: str  # "message", "presence", "iq"
    id: str
    sender: str
    receiver: str


@dataclass(frozen=True, kw_only=True)
class ServerEnded(Event):
    """A server's process ended, or a scripted server stopped: until it is started again it is down."""

    kind = "server-ended"
    server: str


@dataclass(frozen=True, kw_only=True)
class ServerStarted(Event):
    """A server's process was started again, or a scripted server listens."""

    kind = "server-started"
    server: str


@dataclass(frozen=True, kw_only=True)
class RegistrationChanged(Event):
    """A server's administrator decided who may register an account in band (XEP-0077)."""

    kind = "registration-changed"
    server: str  # its name in the topology
    mode: str  # "open", "closed", "invited"


@dataclass(frozen=True, kw_only=True)
class AccountRegistered(Event):
    """A person registered their account in band (XEP-0077)."""

    kind = "account-registered"
    person: str  # bare JID
    invited: bool = False  # with a token (XEP-0445)


@dataclass(frozen=True, kw_only=True)
class AccountDeleted(Event):
    """A server's administrator deleted an account."""

    kind = "account-deleted"
    person: str  # bare JID


@dataclass(frozen=True, kw_only=True)
class DomainRefused(Event):
    """A server refuses a domain, and all below it, from now on: nothing passes between the two."""

    kind = "domain-refused"
    server: str  # its name in the topology
    domain: str


@dataclass(frozen=True, kw_only=True)
class DomainAccepted(Event):
    """A server accepts a domain again that it had refused."""

    kind = "domain-accepted"
    server: str  # its name in the topology
    domain: str


@dataclass(frozen=True, kw_only=True)
class Note(Event):
    """Something worth knowing that no check judges."""

    kind = "note"
    text: str
    by: str = "lab"


#: What is recorded, by the name in a history's lines.
KINDS: dict[str, type[Event]] = {one.kind: one for one in Event.__subclasses__()}
