"""The cells of the table, what is said without trying, and one result from two directions."""

import pytest

from lab.declarations.faults import FAULTS
from lab.errors import UserError
from lab.runner.attacks.cells import (
    ATTACKS,
    ENCRYPTIONS,
    NO_TRUST,
    TRUSTS,
    Cell,
    CellOutcome,
    CellResult,
    judge_without_trial,
    list_cells,
    merge,
)
from lab.runner.attacks.trials import find_control

CELL = Cell("replay", "omemo", "blind")


def test_every_attack_meets_every_encryption_with_every_trust():
    cells = list_cells()
    assert len(set(cells)) == len(cells) == len(ATTACKS) * ((len(ENCRYPTIONS) - 1) * len(TRUSTS) + 1)
    assert {cell.trust for cell in cells if cell.encryption == "plain"} == {NO_TRUST}


def test_every_attack_is_a_fault_of_the_lab():
    names = {one.name for one in FAULTS.values()}
    assert all(set(one.faults) <= names and one.faults for one in ATTACKS)


def test_some_can_be_chosen_in_the_order_of_the_table():
    cells = list_cells(["replay", "swap-bundle"], ["plain", "omemo"])
    assert list(dict.fromkeys(cell.attack for cell in cells)) == ["swap-bundle", "replay"]
    assert {cell.encryption for cell in cells} == {"plain", "omemo"}


@pytest.mark.parametrize(("chosen", "says"), [((["repla"], []), "attack 'repla'"), (([], ["pgp"]), "encryption 'pgp'")])
def test_a_wrong_name_is_refused_with_those_that_there_are(chosen, says):
    with pytest.raises(UserError, match=f"{says} is unknown: use one of "):
        list_cells(*chosen)


def test_where_there_is_no_such_attack_it_is_said_and_not_tried():
    result = judge_without_trial(Cell("phantom-device", "otr", "blind"))
    assert result is not None and (result.text, bool(result.why)) == ("-", True)
    assert judge_without_trial(CELL) is None


def test_the_control_is_of_what_people_speak():
    assert find_control(CELL) == Cell("none", "omemo", "blind")
    assert find_control(Cell("downgrade-older", "omemo:2", "verified")) == Cell("none", "omemo+omemo:2", "verified")


def test_results_of_both_directions_become_one_only_if_they_agree():
    receiver = CellResult(CELL, CellOutcome.NOTICED, ("receiver",), "refused", messages=("m1",))
    unnoticed = CellResult(CELL, CellOutcome.UNNOTICED, why="read twice", messages=("m2",))
    unknown = CellResult(CELL, CellOutcome.UNKNOWN, why="no account")
    agreed = merge([receiver, receiver])
    assert (agreed.text, agreed.messages) == ("receiver", ("m1", "m1"))
    assert merge([receiver, unknown]).why == "no account"
    differing = merge([receiver, unnoticed])
    assert differing.outcome is CellOutcome.UNKNOWN
    assert differing.why == "it differs by direction: receiver (refused); unnoticed (read twice)"
