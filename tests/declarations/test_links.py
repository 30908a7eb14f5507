"""Link fields: what is declared of each holds together."""

import pytest

from lab.declarations.links import LINK_FIELDS, Conditions
from lab.errors import UserError

BY_NAME = {field.name: field for field in LINK_FIELDS}


def test_a_field_reads_what_it_writes():
    for field in LINK_FIELDS:
        for text in field.schema["examples"]:
            value = field.read(text)
            assert field.read(field.write(value)) == value


def test_conditions_that_change_nothing_are_neutral():
    assert Conditions().neutral and Conditions().describe() == ""
    for field in LINK_FIELDS:
        value = field.read(field.schema["examples"][0])
        changed = Conditions(**{field.name: value})
        assert not changed.neutral and changed.changes() == [(field, value)]


def test_conditions_are_described_as_pictures_have_them():
    assert Conditions(0.04, 0.005, 125_000).describe() == "40ms ±5ms, 1Mbit/s"
    assert Conditions(rate=1000).describe() == "8kbit/s"


@pytest.mark.parametrize(
    ("name", "value", "wanted"), [("latency", 2, 2.0), ("rate", 5000.0, 5000), ("rate", None, None)]
)
def test_values_from_json_are_accepted_in_their_units(name, value, wanted):
    accepted = BY_NAME[name].accept(value)
    assert accepted == wanted and type(accepted) is type(wanted)


@pytest.mark.parametrize(
    ("name", "value"),
    [("latency", -1), ("latency", None), ("latency", "1s"), ("latency", True), ("rate", 0), ("rate", float("nan"))],
)
def test_other_values_are_errors_that_name_the_field(name, value):
    with pytest.raises(UserError, match=f"'{name}' must be a number of at least"):
        BY_NAME[name].accept(value)
