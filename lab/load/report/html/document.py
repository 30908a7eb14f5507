"""The frame of a page: one HTML file without scripts and without requests, dark or light as the reader's system is.

Rules: everything that is not a literal of this package goes through `escape_text`: names of servers as well as errors.
The content policy allows only this style sheet, by its hash, so that text that was not escaped by mistake could neither
run nor send a request.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from lab.system.terminal import escape_unprintable

Cell = object

_STYLE = """
:root { color-scheme: light dark; --background: #ffffff; --foreground: #1b1f24; --muted: #57606a; --line: #d0d7de;
  --panel: #f6f8fa; --valid: #1a7f37; --failed: #b3261e; --unknown: #8a6100; --link: #0a58ca }
@media (prefers-color-scheme: dark) { :root { --background: #14171b; --foreground: #e6e9ed; --muted: #9aa4af;
  --line: #343b44; --panel: #1d2127; --valid: #57c47a; --failed: #ff8078; --unknown: #e3b341; --link: #7ab7ff } }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 4rem;
  background: var(--background); color: var(--foreground);
  font: 15px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; overflow-wrap: anywhere }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .2rem }
p { margin: .3rem 0 } a { color: var(--link) } .muted, figcaption { color: var(--muted) }
.verdict { border-left: .4rem solid; padding: .5rem .9rem; background: var(--panel); overflow-wrap: anywhere }
.verdict.valid { border-color: var(--valid) } .verdict.failed { border-color: var(--failed) }
.verdict.unknown { border-color: var(--unknown) }
.valid strong { color: var(--valid) } .failed strong { color: var(--failed) } .unknown strong { color: var(--unknown) }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; padding: 0; list-style: none }
.tiles li { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .4rem .8rem }
.tiles b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.2rem; margin: .5rem 0 } dd { margin: 0 }
dt { color: var(--muted) } dd, li { overflow-wrap: anywhere }
figure { margin: .3rem 0 0; overflow-x: auto } figcaption { max-width: 46rem; margin-bottom: .5rem }
svg { max-width: 100%; height: auto; display: block }
.scroll { overflow-x: auto; margin: .6rem 0 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .87rem }
caption { text-align: left; font-weight: 600; padding: .3rem 0 } thead th { color: var(--muted); font-weight: 600 }
th, td { padding: .15rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left } tbody th { font-weight: 400 }
.numbered { columns: 22rem; font-size: .87rem; margin: .6rem 0 }
summary { cursor: pointer; margin-top: .8rem }
@media print { details { display: none } body { max-width: none } }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"


def escape_text(value: object) -> str:
    """Any value, escaped as text of the page or of an attribute in quotes."""
    return escape(escape_unprintable(str(value)))


def render_document(title: str, parts: Iterable[str]) -> str:
    """The whole file from its parts, which are HTML."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="referrer" content="no-referrer">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape_text(title)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            *(part for part in parts if part),
            "</body>",
            "</html>",
            "",
        ]
    )


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
    return "–" if value is None else escape_text(value)
