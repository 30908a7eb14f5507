"""The reference: how it is read, compared with, and written."""

import json
from pathlib import Path

import pytest

from lab import exit_codes
from lab.errors import UserError
from lab.runner.attacks.cells import Cell, CellOutcome, CellResult, judge_without_trial, list_cells
from lab.runner.attacks.reference import PACKAGED, compare, get_exit_code, read_reference, update

CELL, OTHER = Cell("replay", "omemo", "blind"), Cell("replay", "plain", "none")
RECEIVER = CellResult(CELL, CellOutcome.NOTICED, ("receiver",), "used up")
UNNOTICED = CellResult(CELL, CellOutcome.UNNOTICED, why="read twice")
UNKNOWN = CellResult(CELL, CellOutcome.UNKNOWN, why="no account", folder="run")


def test_the_one_that_comes_with_the_lab_has_every_cell():
    known = read_reference(PACKAGED)
    assert set(known) == set(list_cells())
    for cell, text in known.items():
        result = judge_without_trial(cell)
        assert text == result.text if result else text not in ("unknown", "-")


@pytest.mark.parametrize(
    ("found", "code", "says"),
    [
        (RECEIVER, exit_codes.VALID, None),
        (UNNOTICED, exit_codes.FAILED, "replay omemo blind: unnoticed, in the reference receiver: read twice"),
        (UNKNOWN, exit_codes.UNKNOWN, "replay omemo blind: unknown, in the reference receiver: no account"),
    ],
)
def test_another_result_fails_and_none_is_unknown(found, code, says):
    differences = compare([found], {CELL: "receiver", OTHER: "check delivery"})
    assert [str(one) for one in differences] == ([] if says is None else [says])
    assert get_exit_code(differences) == code


def test_a_cell_that_the_reference_lacks_differs():
    (difference,) = compare([RECEIVER], {})
    assert "in the reference not in it" in str(difference) and get_exit_code([difference]) == exit_codes.FAILED


def test_an_update_keeps_other_cells_and_writes_nothing_that_was_not_judged(tmp_path: Path):
    file = tmp_path / "mine.json"
    other = CellResult(OTHER, CellOutcome.NOTICED, ("check delivery",))
    assert update(file, [RECEIVER, other]) == []
    assert read_reference(file) == {CELL: "receiver", OTHER: "check delivery"}
    assert update(file, [UNKNOWN]) == [UNKNOWN]
    assert update(file, [UNNOTICED]) == []
    assert read_reference(file) == {CELL: "unnoticed", OTHER: "check delivery"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is no JSON"),
        ("[]", "is no reference of attacks"),
        ('{"format": 1}', "is no reference of attacks"),
        ('{"format": 2, "cells": {}}', "has the format 2, and this version reads 1"),
        (json.dumps({"format": 1, "cells": {"replay": {"omemo": {"blind": 3}}}}), "is no reference of attacks"),
        (json.dumps({"format": 1, "cells": {"replay": "receiver"}}), "is no reference of attacks"),
    ],
)
def test_a_file_that_is_no_reference_is_refused(text, says, tmp_path: Path):
    file = tmp_path / "mine.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=says) as caught:
        read_reference(file)
    assert str(file) in str(caught.value)
