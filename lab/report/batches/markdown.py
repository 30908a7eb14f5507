"""The results of several runs as Markdown: the summary of a job in CI, or a comment on a change.

GitHub Flavored Markdown. What others wrote (names, sentences, reports) is escaped, or stands in a fence that it cannot
end.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from lab import exit_codes
from lab.report.batches.reports import group_by_topology, read_report
from lab.report.batches.table import write_sentence
from lab.runner.batch import BatchResult
from lab.system.terminal import escape_unprintable

# Of the report of a run that was not valid; job summaries are limited in size. Its folder has all.
LINES_SHOWN = 80

# What means something in a line of Markdown, or in HTML.
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+!|~&@:-])")


def render(results: Sequence[BatchResult]) -> str:
    """The summary: a sentence, verdicts by scenario and topology, then each run that was not valid with its report."""
    blocks = [f"## xmpplab: {write_sentence(results)}", "\n".join(_table(results))]
    blocks += ["\n".join(_explain(one)) for one in results if one.exit_code != exit_codes.VALID and not one.skipped]
    return "\n\n".join(blocks) + "\n"


def escape(text: str) -> str:
    """The text in one line, without a meaning in Markdown or HTML."""
    return _MARKUP.sub(r"\\\1", " ".join(escape_unprintable(text).split()))


def _table(results: Sequence[BatchResult]) -> Iterator[str]:
    topologies = list(group_by_topology(results))
    cells: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in results:
        cells[one.scenario, one.topology].append(_show(one))
    yield f"| scenario | {' | '.join(escape(one) for one in topologies)} |"
    yield f"|---|{'---|' * len(topologies)}"
    for scenario in dict.fromkeys(one.scenario for one in results):
        verdicts = (", ".join(cells[scenario, topology]) for topology in topologies)
        yield f"| {escape(scenario)} | {' | '.join(verdicts)} |"


def _show(result: BatchResult) -> str:
    plain = result.exit_code == exit_codes.VALID or result.skipped
    return result.value if plain else f"**{result.value}**"


def _explain(result: BatchResult) -> Iterator[str]:
    yield f"### {escape(result.scenario)} on {escape(result.topology)}: {result.value}"
    yield ""
    yield escape(result.sentence or "no sentence")
    lines = read_report(result).splitlines()
    if not lines:
        return
    fence = "`" * (1 + max((len(found) for found in re.findall("`+", "\n".join(lines))), default=2))
    yield from ("", "<details><summary>its report</summary>", "", f"{fence}text", *lines[:LINES_SHOWN])
    if len(lines) > LINES_SHOWN:
        yield f"… {len(lines) - LINES_SHOWN} more lines in {escape_unprintable(str(result.folder))}"
    yield from (fence, "", "</details>")
