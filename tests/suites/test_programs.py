"""go-sendxmpp and Profanity in a lab's names, with somebody on another server, for every pair of softwares.

go-sendxmpp is started by `xmpplab with --as`, from its unpacked package; Profanity by `xmpplab client`, which is `with`
and the tree of its package. What a program does not do and is expected to fails, and so does what it does again.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lab.lifecycle.lab import Lab
from lab.lifecycle.programs import find_client
from lab.runtime.debian.clients import ensure_client
from lab.system.subprocesses import run
from tests.programs.conversation import converse
from tests.programs.terminal import DEADLINE, XMPPLAB
from tests.programs.test_profanity import generate_keys, profanity

pytestmark = [pytest.mark.suites, pytest.mark.live]
PairOf = Callable[[str, str], Awaitable[Lab]]

PAIRS = list(itertools.product(("prosody", "ejabberd"), repeat=2))
#: Seconds until a step that is expected to fail has not been done.
PATIENCE = 10.0

SENDS, RECEIVES, PUBLISHES = "sends", "receives", "publishes a device list"
_BARE_ERROR = "Profanity 0.15 needs an error that repeats its request, see the scenario error_repeats_request"

#: What Profanity is expected not to do, and why, by the software of its own server.
EXPECTED: dict[str, dict[str, str]] = {"prosody": {PUBLISHES: _BARE_ERROR}, "ejabberd": {}}


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
async def test_go_sendxmpp_sends_to_another_server(pair: tuple[str, str], pair_of: PairOf, tmp_path: Path) -> None:
    client = find_client("go-sendxmpp")
    tree = await ensure_client(client.name, client.packages, print)
    async with converse(await pair_of(*pair), tmp_path, "plain", "a", "b") as talk:
        script = 'exec "$0" --username "$XMPPLAB_JID" --password "$XMPPLAB_PASSWORD" "$1"'
        who = f"{talk.user.name}@{talk.user.server.name}"
        lab = talk.federation.lab.name
        command = [*XMPPLAB, "with", "--name", lab, "--as", who, "--home", "--", "sh", "-c", script]
        code, output = await run(
            [*command, str(tree / "usr/bin/go-sendxmpp"), talk.peer.jid], given="from a pipe", within=DEADLINE
        )
        assert code == 0, output
        await talk.received("from a pipe")


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
async def test_profanity_ends_as_expected(pair: tuple[str, str], pair_of: PairOf, tmp_path: Path) -> None:
    expected = EXPECTED[pair[0]]
    async with (
        converse(await pair_of(*pair), tmp_path, "omemo", "a", "b") as talk,
        profanity(talk, tmp_path) as terminal,
    ):

        async def send(within: float) -> None:
            await terminal.type(f"/msg {talk.peer.jid} from Profanity")
            await talk.received("from Profanity", within)

        async def receive(within: float) -> None:
            await talk.peer.send(talk.user, "from bob", encryption="plain")
            await terminal.shows("from bob", within)

        async def publish(within: float) -> None:
            await talk.keys_of_user(within=within)

        failed = {}
        for name, step in ((SENDS, send), (RECEIVES, receive), (PUBLISHES, publish)):
            if name == PUBLISHES:  # not below: keys that are not made say nothing about what is published
                await terminal.type("/win 1")
                await generate_keys(terminal)
            try:
                await step(PATIENCE if name in expected else DEADLINE)
            except AssertionError as error:
                failed[name] = str(error)
    assert set(failed) == set(expected), {
        "not expected": {name: said for name, said in failed.items() if name not in expected},
        "done again": set(expected) - set(failed),
    }
