"""Dino, Gajim, Pidgin and Converse in a lab: what a simulated person elsewhere decrypts, and what they have shown."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from lab.lifecycle.lab import Lab
from tests.programs.conversation import Conversation, converse
from tests.programs.display import Display
from tests.programs.terminal import DEADLINE

pytestmark = [pytest.mark.clients, pytest.mark.live]
PairOf = Callable[[str, str], Awaitable[Lab]]
BOTH_ORDERS = pytest.mark.parametrize(("own", "other"), [("prosody", "ejabberd"), ("ejabberd", "prosody")])
_OMEMO_IN_DINO = 2  # the number of this encryption in its database


def opened(talk: Conversation, program: str, folder: Path, *arguments: str) -> AbstractContextManager[Display]:
    return shown(Display(folder, talk.client(program, folder / "home", *arguments)), folder)


@contextmanager
def shown(display: Display, folder: Path) -> Iterator[Display]:
    try:
        yield display
    finally:
        if shutil.which("import"):  # evidence of a test that has failed
            display.photograph(folder / "screen.png")
        display.close()


async def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.2)


def read_dino(folder: Path) -> list[tuple[str, int]]:
    """Texts and their encryption in Dino's database."""
    with closing(sqlite3.connect(folder / "home/.local/share/dino/dino.db")) as database:
        return database.execute("SELECT body, encryption FROM message").fetchall()


@BOTH_ORDERS
async def test_dino_omemo_both_ways(own: str, other: str, pair_of: PairOf, tmp_path: Path) -> None:
    lab = await pair_of(own, other)
    async with converse(lab, tmp_path, "omemo", "a", "b") as talk:
        with opened(talk, "dino", tmp_path, f"xmpp:{talk.peer.jid}?message") as display:
            await talk.keys_of_user()
            await talk.write_encrypted("from bob, encrypted")
            await until(lambda: ("from bob, encrypted", _OMEMO_IN_DINO) in read_dino(tmp_path), display.output)
            await display.focus(".")
            display.type("from Dino, encrypted")
            await talk.decrypted("from Dino, encrypted", "omemo")
            await until(lambda: ("from Dino, encrypted", _OMEMO_IN_DINO) in read_dino(tmp_path), display.output)


def read_gajim(folder: Path) -> list[tuple[str, str]]:
    """Texts of encrypted messages and their encryption in Gajim's database."""
    file = folder / "home/.local/share/gajim/logs.db"
    query = "SELECT text, protocol FROM message JOIN encryption ON fk_encryption_pk = encryption.pk"
    with closing(sqlite3.connect(file)) as database:
        return database.execute(query).fetchall()


async def start_chat_in_gajim(display: Display) -> None:
    """It asks whether a chat is to be started, when it is opened with an address."""
    await display.focus("Start")
    end = time.monotonic() + DEADLINE
    while display.has_window("Start"):
        assert time.monotonic() < end, display.output
        display.press("Return")
        await asyncio.sleep(1)
    await display.focus("Gajim")


@BOTH_ORDERS
async def test_gajim_omemo_both_ways(own: str, other: str, pair_of: PairOf, tmp_path: Path) -> None:
    lab = await pair_of(own, other)
    async with converse(lab, tmp_path, "omemo", "a", "b") as talk:
        with opened(talk, "gajim", tmp_path, f"xmpp:{talk.peer.jid}?message") as display:
            await talk.keys_of_user()
            await start_chat_in_gajim(display)
            await talk.write_encrypted("from bob, encrypted")
            await until(lambda: ("from bob, encrypted", "OMEMO") in read_gajim(tmp_path), display.output)
            display.type("from Gajim, encrypted")
            await talk.decrypted("from Gajim, encrypted", "omemo")
            await until(lambda: ("from Gajim, encrypted", "OMEMO") in read_gajim(tmp_path), display.output)


async def test_pidgin_otr_both_ways(pair_of: PairOf, tmp_path: Path) -> None:
    lab = await pair_of("ejabberd", "prosody")

    def logged() -> str:
        return "".join(one.read_text() for one in tmp_path.glob("home/.purple/logs/jabber/*/*/*.html"))

    async with converse(lab, tmp_path, "otr", "a", "b") as talk:
        with opened(talk, "pidgin", tmp_path) as display:
            await display.focus("Buddy List")
            await talk.online("pidgin")
            await talk.write_encrypted("from bob, off the record")  # generating its key takes Pidgin a while
            await until(lambda: "from bob, off the record" in logged(), display.output)
            await display.focus(talk.peer.name)
            display.type("from Pidgin, off the record")
            await talk.decrypted("from Pidgin, off the record", "otr")


# Written to what Chromium logs: each message that the page shows, and whether with a closed lock.
_SHOWN = """
new MutationObserver(() => {
  for (const one of document.querySelectorAll("converse-chat-message"))
    console.log(`shown: ${one.querySelector("converse-chat-message-body")?.textContent.trim()} ` +
      (one.querySelector(".fa-lock") ? "encrypted" : "clear"));
}).observe(document, {childList: true, subtree: true, characterData: true});
"""


@BOTH_ORDERS
@pytest.mark.parametrize("encryption", ["omemo", "omemo:2"])
async def test_converse_omemo_both_ways(
    encryption: str, own: str, other: str, pair_of: PairOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = await pair_of(own, other)
    (temporary := tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    async with converse(lab, tmp_path, encryption, "a", "b") as talk:
        home, log = tmp_path / "home", "--enable-logging=stderr"
        command = talk.client("converse", home, f"xmpp:{talk.peer.jid}?message", log)
        with (home / "converse/settings.js").open("a") as page:
            page.write(_SHOWN)
        with shown(Display(tmp_path, command), tmp_path) as display:
            await talk.keys_of_user()
            await talk.write_encrypted("from bob, encrypted")
            await until(lambda: "shown: from bob, encrypted encrypted" in display.output, display.output)
            await display.focus("Converse")
            display.click(600, 590)
            display.type("from Converse, encrypted")
            await talk.decrypted("from Converse, encrypted", encryption)
            await until(lambda: "shown: from Converse, encrypted encrypted" in display.output, display.output)
    assert list(temporary.iterdir()) == [], "a client has left temporary files on this machine"
