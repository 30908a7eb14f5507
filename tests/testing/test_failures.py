"""What a run adds to the result of its test."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.checks.verdict import Value
from lab.testing.failures import PROPERTIES, add_result


def test_properties_are_plain_strings(request: pytest.FixtureRequest) -> None:
    """pytest-xdist ends with an internal error on any other type."""
    before = list(request.node.user_properties)
    try:
        result = SimpleNamespace(value=Value.VALID, sentence="2 messages", folder=Path("runs/x"))
        add_result(request.node, result, failed=False)
        added = request.node.user_properties[len(before) :]
    finally:
        request.node.user_properties[:] = before
    assert [name for name, _ in added] == list(PROPERTIES)
    assert {type(value) for _, value in added} == {str}
