"""The marker `topology`: what a test says of its federation, checked before anything is started."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import pytest

from lab.errors import UserError
from lab.runner.wanted_verdicts import Expects
from lab.runner.wanted_verdicts import read_expects as read_wanted

TOPOLOGY = "topology"
USE = 'write `pytest.mark.topology("pair", "ring:6", expects={"secrecy": "failed"})`'
_SIMILAR = 0.75  # of 1: one or two letters are missing, swapped or added


def check(item: pytest.Item) -> None:
    """Raise pytest's CollectError for a marker that is misspelt or has arguments that it does not take."""
    registered = {line.partition(":")[0].partition("(")[0].strip() for line in item.config.getini("markers")}
    for marker in item.iter_markers():
        if marker.name == TOPOLOGY:
            _check_arguments(marker)
        elif marker.name not in registered and difflib.get_close_matches(marker.name, [TOPOLOGY], cutoff=_SIMILAR):
            raise pytest.Collector.CollectError(
                f"{item.name}: there is no marker {marker.name!r}; did you mean {TOPOLOGY!r}? If it is one of your "
                "own, register it (the setting `markers` of pytest)"
            )


def read_expects(item: pytest.Item) -> Expects:
    """What the nearest marker expects of the checks, by name of the check."""
    marker = item.get_closest_marker(TOPOLOGY)
    return dict(marker.kwargs.get("expects", {})) if marker else {}


def _check_arguments(marker: pytest.Mark) -> None:
    if unknown := sorted(marker.kwargs.keys() - {"expects"}):
        raise pytest.Collector.CollectError(f"the marker topology takes no argument {unknown[0]!r}: {USE}")
    wanted = marker.kwargs.get("expects", {})
    if not isinstance(wanted, Mapping):
        raise pytest.Collector.CollectError(f"the marker topology has expects={wanted!r}: {USE}")
    try:
        read_wanted(wanted)
    except UserError as error:
        raise pytest.Collector.CollectError(f"the marker topology has {error}") from None
    if lists := [one for one in marker.args if isinstance(one, list | tuple)]:
        raise pytest.Collector.CollectError(f"the marker topology has {lists[0]!r}: {USE}")
