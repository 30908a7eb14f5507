"""The parts of a load's or a study's page as HTML; `lab.report.html.document` makes one file of them.

Rule: everything that is not a literal of this package goes through `escape_text`: names of servers as well as errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from lab.system.terminal import escape_unprintable

Cell = object


@dataclass(frozen=True)
class Links:
    """A cell that leads to pages."""

    pages: Sequence[tuple[str, str]]  # what is shown, and the address


def escape_text(value: object) -> str:
    """Any value, escaped as text of the page or of an attribute in quotes."""
    return escape(escape_unprintable(str(value)))


def render_verdict(value: str, sentence: str) -> str:
    """The verdict at the top of the page; value is "valid", "failed" or "unknown"."""
    value, shown = escape_text(value), escape_text(value.upper())
    return f'<p class="verdict {value}"><strong>{shown}</strong> {escape_text(sentence)}</p>'


def render_sentences(said: Iterable[str]) -> str:
    """A list of sentences; "" if there are none."""
    items = "".join(f"<li>{escape_text(one)}</li>" for one in said)
    return f"<ul>{items}</ul>" if items else ""


def render_numbered(names: Iterable[str]) -> str:
    """Names by number, in columns; "" if there are none."""
    items = "".join(f"<li>{escape_text(name)}</li>" for name in names)
    return f'<ol class="numbered">{items}</ol>' if items else ""


def render_tiles(figures: Mapping[str, str]) -> str:
    """The most important figures, each above its name."""
    items = "".join(f"<li><b>{escape_text(value)}</b>{escape_text(name)}</li>" for name, value in figures.items())
    return f'<ul class="tiles">{items}</ul>'


def render_terms(pairs: Mapping[str, object]) -> str:
    """A list of names and values."""
    items = (f"<dt>{escape_text(name)}</dt><dd>{escape_text(value)}</dd>" for name, value in pairs.items())
    return f"<dl>{''.join(items)}</dl>"


def render_figure(title: str, caption: str, drawing: str) -> str:
    """A chart (SVG, or HTML in place of one) below its heading and its caption."""
    return f"<h2>{escape_text(title)}</h2>\n<figure><figcaption>{escape_text(caption)}</figcaption>\n{drawing}</figure>"


def render_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A table whose first column names the row; "" without rows. A cell of None is a dash."""
    lines = [
        f'<tr><th scope="row">{_cell(first)}</th>{"".join(f"<td>{_cell(one)}</td>" for one in rest)}</tr>'
        for first, *rest in rows
    ]
    if not lines:
        return ""
    names = "".join(f'<th scope="col">{escape_text(name)}</th>' for name in head)
    return (
        f'<div class="scroll"><table><caption>{escape_text(caption)}</caption>'
        f"<thead><tr>{names}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def render_folded(title: str, content: str) -> str:
    """Content that is folded until the reader opens it; "" if there is none."""
    return f"<details><summary>{escape_text(title)}</summary>{content}</details>" if content else ""


def render_files(names: Mapping[str, str]) -> str:
    """Links to files beside the page; `names` has a description for each."""
    links = [f'<a href="{escape_text(name)}">{escape_text(description)}</a>' for name, description in names.items()]
    return f'<p class="muted">Beside this page: {", ".join(links)}.</p>'


def _cell(value: Cell) -> str:
    if isinstance(value, Links):
        found = (f'<a href="{escape_text(page)}">{escape_text(text)}</a>' for text, page in value.pages)
        return ", ".join(found) or "–"
    return "–" if value is None else escape_text(value)
