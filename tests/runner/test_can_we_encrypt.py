"""The table of who can encrypt to whom: the committed one is whole, and it is the one that the documentation shows."""

import asyncio
import re
from pathlib import Path

import pytest

from lab import LabError
from lab.federation import Attempt
from lab.packaged import find_folder
from lab.runner.expectations import ExpectationFailed
from lab.runner.scenarios import load

SCENARIO = find_folder("scenarios") / "can_we_encrypt.py"
REFERENCE = SCENARIO.with_suffix(".txt").read_text()
PAGE = Path(__file__).parents[2] / "docs" / "can-we-encrypt.md"
(INFO,) = load("can_we_encrypt")
NAMED = ("omemo", "omemo:2", "otr", "plain")


def rows() -> list[list[str]]:
    """The cells of all rows, of both softwares."""
    return [line.split() for line in REFERENCE.splitlines() if re.match(r"(0\.3|2|both|otr|none) +\S+ +\S+ +\S", line)]


def test_the_page_shows_the_committed_table() -> None:
    assert f"```\n{REFERENCE}```\n" in PAGE.read_text()


def test_every_cell_of_the_table_is_known_and_explained_and_none_is_in_the_clear() -> None:
    found = rows()
    assert len(found) == 2 * 25 and {len(row) for row in found} == {2 + 7}
    letters = {cell for row in found for cell in row[2:]} - {*NAMED}
    explained = re.findall(r"^([a-z]): (refused|accepted|delivered)", REFERENCE, re.MULTILINE)
    assert letters == {letter for letter, _ in explained}
    assert "exposed" not in REFERENCE and "unknown" not in REFERENCE
    for sender, _, *cells in found:
        assert ("plain" in cells) == (sender == "none"), sender


class Answering:
    """A person who ends up with the same in each attempt."""

    jid = "somebody@x.test"

    def __init__(self, answer: Attempt | LabError) -> None:
        self.answer = answer

    async def attempt(self, receiver: object, text: str) -> Attempt:
        if isinstance(self.answer, LabError):
            raise self.answer
        return self.answer


class Server:
    """One on which everybody ends up with the same."""

    def __init__(self, name: str, answer: Attempt | LabError) -> None:
        self.name = name
        self.answer = answer

    async def person(self, name: str, *, encryption: str, keys_optional: bool) -> Answering:
        return Answering(self.answer)


class Federation:
    """One in which everybody ends up with the same."""

    def __init__(self, answer: Attempt | LabError) -> None:
        self.answer = answer

    def server(self, name: str) -> Server:
        return Server(name, self.answer)

    def secret(self) -> str:
        return "canary"


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (Attempt("exposed", "plain"), ExpectationFailed, "got \\[Cell"),
        (Attempt("read", "omemo"), ExpectationFailed, "got \\['"),
        (LabError("the ping was not answered"), LabError, "350 of 350 cells are unknown: .* the ping was not answered"),
    ],
    ids=["in the clear", "another table", "a cell that is not known"],
)
async def test_a_table_that_is_not_the_committed_one_fails_and_an_unknown_cell_is_unknown(answer, error, said) -> None:
    with pytest.raises(error, match=said) as raised:
        await INFO.function(Federation(answer))
    assert type(raised.value) is error


async def test_where_an_account_is_refused_nobody_goes_on_without_it() -> None:
    begun, ended = [], []

    class Refusing(Server):
        async def person(self, name: str, *, encryption: str, keys_optional: bool) -> Answering:
            if encryption == "plain":
                raise LabError("no more accounts")
            begun.append(name)
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(name)
            return Answering(self.answer)

    class Full(Federation):
        def server(self, name: str) -> Server:
            return Refusing(name, self.answer)

    with pytest.raises(LabError, match="no more accounts"):
        await INFO.function(Full(Attempt("lost", "omemo")))
    assert begun and begun == ended
