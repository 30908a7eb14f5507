"""Two runs beside each other as text: verdicts, settings that differ, the first difference, the others by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from lab.checks.verdict import pluralize
from lab.report.differences.comparison import CHECK, MESSAGE, STEP, ComparedEntry, RunDifference
from lab.system.tables import get_terminal_width, wrap_text
from lab.system.terminal import escape_unprintable

OTHERS = 20  # that are named
_MARK = "≠ "


def render(difference: RunDifference, names: Sequence[str], width: int | None = None) -> str:
    """The report, with a newline at its end; at most `width` columns wide, or as wide as the terminal."""
    columns = width or get_terminal_width()
    lines = [*_head(difference, names, columns), ""]
    different = difference.different
    if different:
        lines += _first(different[0], columns)
        lines += _others(different[1:], columns)
    else:
        lines += wrap_text("The runs took the same course: no step, message or check differs.", width=columns)
    lines += ["", *wrap_text(describe_same(difference), width=columns)]
    return escape_unprintable("\n".join(lines)) + "\n"


def _head(difference: RunDifference, names: Sequence[str], width: int) -> Iterator[str]:
    yield from wrap_text(f"{difference.scenario}, two runs", width=width)
    for letter, name, judgement in zip("AB", names, difference.verdicts, strict=True):
        yield from wrap_text(f"{letter}  {name}: {judgement.value.upper()}", then="   ", width=width)
    for name, one, other in difference.settings:
        if name in difference.settings_differ:
            yield from wrap_text(f"{_MARK} {name}: {one} / {other}", then="   ", width=width)


def _first(pair: ComparedEntry, width: int) -> Iterator[str]:
    yield from wrap_text(f"First difference: {pair.title}", then="  ", width=width)
    if pair.first is None or pair.second is None:
        only = "B" if pair.first is None else "A"
        yield from wrap_text(f"only {only} has it:", "  ", width=width)
    yield ""
    yield from format_columns(("A", "B"), pair.align(), width)


def format_columns(head: tuple[str, str], rows: Sequence[tuple[bool, str, str]], width: int) -> Iterator[str]:
    """Two columns of equal width; lines that differ are marked. Words that are too long for a column are broken."""
    half = (width - len(_MARK) - 3) // 2
    yield f"{' ' * len(_MARK)}{head[0]:{half}}   {head[1]}".rstrip()
    for same, one, other in rows:
        left, right = (_fold(text, half) for text in (one, other))
        for place in range(max(len(left), len(right))):
            mark = " " * len(_MARK) if same or place else _MARK
            texts = [some[place] if place < len(some) else "" for some in (left, right)]
            yield f"{mark}{texts[0]:{half}}   {texts[1]}".rstrip()


def _fold(text: str, width: int) -> list[str]:
    indent = text[: len(text) - len(text.lstrip())]
    return wrap(text, width, subsequent_indent=f"{indent}  ", break_on_hyphens=False) or [""]


def _others(pairs: Sequence[ComparedEntry], width: int) -> Iterator[str]:
    if pairs:
        yield ""
        yield f"{pluralize(len(pairs), 'more difference')}:"
    for pair in pairs[:OTHERS]:
        only = " (only in B)" if pair.first is None else " (only in A)" if pair.second is None else ""
        told = ""
        if pair.kind == CHECK and pair.first and pair.second:
            told = f": {pair.first.lines[0]} / {pair.second.lines[0]}"
        yield from wrap_text(f"{pair.title}{only}{told}", "  ", "    ", width=width)
    if len(pairs) > OTHERS:
        yield f"  and {len(pairs) - OTHERS} more: the page has them all (--open)"


def describe_same(difference: RunDifference) -> str:
    """How much is the same in both runs, as a sentence, for the text and the page."""
    same = difference.count_same()
    said = [pluralize(same[kind], kind) for kind in (STEP, MESSAGE, CHECK)]
    return f"The same in both: {said[0]}, {said[1]}, {said[2]}. Times, ids and the numbers of names do not count."
