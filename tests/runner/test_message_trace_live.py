"""A message that is followed from server to server: each hop, with what could be read there."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable

import pytest

from lab.errors import UserError
from lab.lifecycle.lab import Lab
from lab.runner.message_trace import send
from tests.runtimes import mostly_processes

pytestmark = pytest.mark.live

LabOn = Callable[[str], Awaitable[Lab]]


@mostly_processes
@pytest.mark.parametrize(
    ("encryption", "reading"),
    [
        ("plain", r"the text 'hidden\?'"),
        pytest.param("omemo", r"not the text \[omemo\]", marks=pytest.mark.slow),
        pytest.param("otr", r"not the text \[otr\]", marks=pytest.mark.slow),
    ],
)
async def test_each_hop_is_shown_with_what_could_be_read(lab_on: LabOn, encryption: str, reading: str) -> None:
    lab, tag, shown = await lab_on("pair"), secrets.token_hex(3), list[str]()
    result = await send(lab, f"a{tag}@a", f"b{tag}@b.test", "hidden?", encryption, shown.append)
    assert result.as_promised, result.outcome
    a, b = rf"a{tag}@a\.test/xmpplab", rf"b{tag}@b\.test/xmpplab"
    wanted = [
        rf"{b} logs in at b: TLSv1\.3, SCRAM-SHA-", rf"{a} logs in at a: TLSv1\.3, SCRAM-SHA-",
        rf"\+0\.0 ms  {a} writes to b{tag}@b\.test", rf"a receives from {a}: .*{reading}",
        rf"a passes on to b\.test: .*{reading}", rf"b receives from a\.test: .*{reading}",
        rf"b passes on to {b}: .*{reading}", rf"{b} receives it",
    ]  # fmt: skip
    assert re.search(".*".join(wanted), "\n".join(shown), re.DOTALL), "\n".join(shown)
    assert re.search(r"a (opens|had opened) a stream to b\.test: TLSv1\.3, authenticated by EXTERNAL", "\n".join(shown))
    assert ("hidden?" in "\n".join(shown)) is (encryption == "plain")


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["processes"], indirect=True, scope="session")
async def test_who_is_no_person_of_the_lab_is_an_error(lab_on: LabOn) -> None:
    lab = await lab_on("pair")
    for sender, receiver, encryption in (
        ("al@a", "al@a", "plain"),
        ("al@x", "bob@b", "plain"),
        ("al@a", "bo@b", "rot"),
    ):
        with pytest.raises(UserError):
            await send(lab, sender, receiver, "x", encryption, print)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["processes"], indirect=True, scope="session")
async def test_where_there_is_no_link_the_answer_is_shown(lab_on: LabOn) -> None:
    shown: list[str] = []
    lab, tag = await lab_on("line:3"), secrets.token_hex(3)
    result = await send(lab, f"a{tag}@s1", f"b{tag}@s3", "x", "plain", shown.append)
    assert result.as_promised and result.outcome.bounces
    assert "is told by" in shown[-1]
