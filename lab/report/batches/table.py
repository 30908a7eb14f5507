"""The results of several runs as text: a line for each run, then a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from lab import exit_codes
from lab.runner.batch import BatchResult
from lab.system.tables import format_table, wrap_text


def render(results: Sequence[BatchResult]) -> str:
    """The table and the sentence, without a newline at the end."""
    rows = [(one.scenario, one.topology, one.value, f"{one.seconds:.1f} s", one.folder or "-") for one in results]
    text = format_table(("scenario", "topology", "verdict", "took", "folder"), rows)
    return "\n".join([text, "", *wrap_text(write_sentence(results))])


def write_sentence(results: Sequence[BatchResult]) -> str:
    """How many runs are valid, and how many were skipped."""
    judged = [one for one in results if not one.skipped]
    valid = sum(one.exit_code == exit_codes.VALID for one in judged)
    sentence = f"{valid} of {len(judged)} runs are valid."
    if skipped := len(results) - len(judged):
        sentence += f" {skipped} skipped: the topology cannot give what the scenario needs."
    return sentence
