"""What the documentation of the public API lacks, read from the source: Locust is not imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.house.tree import ROOT

#: Each file with public names, and these names.
PUBLIC = {
    "lab/errors.py": (
        "LabError",
        "UserError",
        "MissingError",
        "PeerError",
        "TimedOut",
        "NotReady",
        "NotReceived",
        "NotApplicable",
    ),
    "lab/federation/federation.py": ("Federation", "Fault"),
    "lab/federation/outcomes.py": ("Bounce", "Delivers", "Delivery", "Outcome", "Receipt", "Refuses"),
    "lab/federation/attempts.py": ("Attempt",),
    "lab/federation/devices.py": ("ArchivedMessage", "Device"),
    "lab/federation/guests.py": ("Guest",),
    "lab/federation/programs.py": ("Program",),
    "lab/federation/messages.py": ("Message",),
    "lab/federation/people.py": ("Person",),
    "lab/federation/posts.py": ("Post",),
    "lab/federation/rooms.py": ("Room",),
    "lab/federation/rosters.py": ("RosterItem",),
    "lab/federation/peers.py": ("Peer",),
    "lab/federation/servers.py": ("LinkHandle", "ServerHandle"),
    "lab/federation/stanzas.py": ("Stanza",),
    "lab/runner/expectations.py": ("ExpectationFailed", "expect"),
    "lab/runner/scenarios.py": ("scenario",),
    "lab/runner/steps.py": ("step",),
    "lab/runner/tables.py": ("record_table",),
    "lab/testing/plugin.py": ("federation", "pytest_addoption", "pytest_configure"),
    "lab/testing/federation_run.py": ("JudgementFailed",),
    "lab/testing/scenario_items.py": ("ScenarioFailed",),
    "lab/testing/containers.py": ("ServerContainer", "ProsodyContainer", "EjabberdContainer"),
    "lab/locust/user.py": ("XmppUser",),
    "lab/locust/client.py": ("Client", "PendingMessage"),
    "lab/load/load_execution.py": ("run_load",),
    "lab/load/load_request.py": ("LoadRequest",),
    "lab/load/capacity/trials.py": ("find_limit_on",),
    "lab/load/capacity/search.py": ("Bounds", "Limit"),
    "lab/load/study_execution.py": ("run_study", "StudyRequest"),
    "lab/load/metrics/run_folder.py": ("read", "LoadRecord"),
    "lab/load/analysis/thresholds.py": ("judge_load",),
    "lab/load/analysis/comparison.py": ("compare",),
    "lab/load/analysis/bottleneck.py": ("find_bottleneck",),
}

#: What does something that an RFC or a XEP defines, and so names its section.
DEFINED_ELSEWHERE = {
    "Federation.link", "Federation.befriend", "Federation.settle", "ServerHandle.person", "ServerHandle.room",
    "LinkHandle", "Bounce", "Delivers", "Delivery", "Refuses", "Device", "Device.connect", "Device.disconnect",
    "Device.send", "Device.send_raw", "Device.stanzas", "Device.iq", "Device.archive", "Device.upload",
    "Device.fetch", "Device.drop_connection", "Device.resume", "Device.delay_acknowledgements", "ArchivedMessage",
    "Receipt", "RosterItem", "Post", "Person.roster", "Person.subscribe", "Person.approve", "Person.deny",
    "Person.unsubscribe", "Person.publish", "Person.follow", "Person.unfollow", "Person.posts", "Room.rejoin",
    "Room.self_ping", "Room.kick", "Room.ban", "Room.affiliation", "Room.occupant_lists", "ServerHandle.register",
    "ServerHandle.registration", "ServerHandle.invitation", "ServerHandle.delete", "ServerHandle.refuse",
    "Message.acknowledged", "Peer.stanzas", "Device.published_devices", "Message.outcome", "Person",
    "Person.fingerprints", "Room", "Room.join", "Room.leave", "Peer", "Peer.send", "Peer.ping", "Peer.closed",
    "Peer.refuse", "Peer.behave", "Peer.close", "Stanza", "Stanza.error", "ServerContainer", "ServerContainer.port",
    "ServerContainer.start",
}  # fmt: skip

#: Words that say what a number counts or measures.
UNITS = re.compile(
    r"\b(seconds?|milliseconds|bytes|port|number of|ids?|how many|so many|processes|seed|share|per second)\b",
    re.IGNORECASE,
)
#: How a coroutine that returns nothing says what holds once it has returned.
HOLDS = re.compile(r"[Rr]eturns? (it )?(once|when|the)|Wait until|[Ss]ee `|[Cc]alled (by|at)|acts")
SOURCE = re.compile(r"\b(RFC \d{4}|XEP-\d{4})\b")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def errors_of_the_lab() -> set[str]:
    """Names of the classes in lab/errors.py, and of the expectation's."""
    tree = ast.parse((ROOT / "lab/errors.py").read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.ClassDef)} | {"ExpectationFailed"}


def problems(path: str, source: str) -> Iterator[str]:
    """One sentence for each thing that the documentation of this file's public names lacks."""
    wanted = PUBLIC[path]
    found = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef | Function)}
    for name in wanted:
        if name not in found:
            yield f"{path}: {name}: is public and not here"
            continue
        node = found[name]
        for text in _of_class(node, source) if isinstance(node, ast.ClassDef) else _of_function(node, name):
            yield f"{path}:{text}"


def _of_class(node: ast.ClassDef, source: str) -> Iterator[str]:
    yield from _documented(node, node.name)
    lines = source.splitlines()
    for one, following in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(one, Function) and (not one.name.startswith("_") or one.name == "__init__"):
            yield from _of_function(one, f"{node.name}.{one.name}")
        elif isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and _numeric(one.annotation):
            comment = lines[one.lineno - 1].partition("#")[2]
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                comment += str(following.value.value)  # a text below it documents an attribute, too
            if not one.target.id.startswith("_") and not UNITS.search(comment):
                field = f"{node.name}.{one.target.id}"
                yield f"{one.lineno}: {field} is a number: say of what, in a comment beside it or a text below it"


def _of_function(node: Function, name: str) -> Iterator[str]:
    constructor = name.endswith(".__init__")
    text = ast.get_docstring(node) or ""
    if not constructor:
        yield from _documented(node, name)
    numbers = [one.arg for one in (*node.args.args, *node.args.kwonlyargs) if _numeric(one.annotation)]
    numbers += ["what is returned"] if _numeric(node.returns) else []
    if numbers and not UNITS.search(text):
        yield f"{node.lineno}: {name}: {', '.join(numbers)} is a number: say the unit, such as seconds"
    raised = {
        one.exc.func.id
        for one in ast.walk(node)
        if isinstance(one, ast.Raise) and isinstance(one.exc, ast.Call) and isinstance(one.exc.func, ast.Name)
    }
    missing = sorted(one for one in raised & errors_of_the_lab() if not re.search(rf"Raises\b[\s\S]*\b{one}\b", text))
    if missing:
        yield f"{node.lineno}: {name}: raises {', '.join(missing)}: say `Raises {missing[0]} …`"
    nothing = isinstance(node.returns, ast.Constant) and node.returns.value is None
    if isinstance(node, ast.AsyncFunctionDef) and nothing and text and not HOLDS.search(text):
        yield f"{node.lineno}: {name}: say what holds once it returns: `Returns once …`"


def _documented(node: ast.ClassDef | Function, name: str) -> Iterator[str]:
    text = ast.get_docstring(node)
    if not text:
        yield f"{node.lineno}: {name}: no docstring"
    elif name in DEFINED_ELSEWHERE and not SOURCE.search(text):
        yield f"{node.lineno}: {name}: name the section of the RFC or XEP that defines it"


def _numeric(annotation: ast.expr | None) -> bool:
    """Whether a value may be a number, and not a table or a list of events."""
    text = "" if annotation is None else ast.unparse(annotation)
    return bool(re.search(r"\b(int|float)\b", text)) and not text.startswith(("dict", "tuple[tuple"))
