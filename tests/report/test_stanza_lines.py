"""What a server reported, as a line: who, to whom, and what could be read of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.history.events import ServerSaw, ServerStreamClosed, ServerStreamOpened
from lab.metrics.stanza_content import LONGEST_TEXT, describe_content
from lab.report.stanza_lines import render_line

STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
MESSAGE = ServerSaw(
    at=1_700_000_000.25, server="a", direction="in", stream="c2s", name="message", type="chat", id="m1",
    sender="alice@a.test/x", receiver="bob@b.test", size=120, encryption=None, body=True,
    stanza="<message to='bob@b.test'><body>a &lt; b &amp;amp; c</body></message>", peer="alice@a.test/x",
)  # fmt: skip


def test_a_line_has_time_server_stream_and_both_ends() -> None:
    line = render_line(MESSAGE, 3)
    assert line.partition("  ")[0].endswith(".250")
    assert line.partition("  ")[2] == "a   <- c2s  message chat alice@a.test/x > bob@b.test 120 B 'a < b &amp; c'"


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"encryption": "eu.siacs.conversations.axolotl", "body": False}, "[omemo]"),
        ({"encryption": "urn:example:other", "body": False}, "[urn:example:other]"),
        ({"stanza": None}, ""),
        ({"stanza": f"<message><body>{'x' * 100}</body></message>"}, f"'{'x' * (LONGEST_TEXT - 1)}…'"),
        (
            {"type": "error", "stanza": f"<message><error><gone xmlns='{STANZAS}'/></error></message>"},
            "gone",
        ),
        ({"name": "iq", "body": False, "stanza": "<iq id='1'><ping xmlns='urn:x'/></iq>"}, "<ping> urn:x"),
    ],
)  # fmt: skip
def test_what_could_be_read_of_it(change: dict[str, object], shown: str) -> None:
    assert describe_content(replace(MESSAGE, **change)) == shown  # type: ignore[arg-type]


def test_streams_are_lines_too() -> None:
    opened = ServerStreamOpened(
        at=0.0,
        server="a",
        stream="s2s",
        direction="out",
        peer="b.test",
        id="1",
        tls="TLSv1.3",
        authentication="EXTERNAL",
    )
    assert render_line(opened).endswith("a -> s2s  stream with b.test: TLSv1.3, EXTERNAL")
    closed = ServerStreamClosed(
        at=0.0, server="a", stream="c2s", direction="in", peer="", id="1", tls="", authentication="",
        condition="not-authorized", text="who?",
    )  # fmt: skip
    assert render_line(closed).endswith("a <- c2s  stream with somebody ended: not-authorized (who?)")
