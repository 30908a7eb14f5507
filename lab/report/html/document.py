"""The frame that all pages share: one HTML file, light or dark as the reader's system is, and nothing from elsewhere.

Templates are in `templates/`, style sheets and scripts in `assets/`. Rules:
- every value is escaped by the template engine; what would act on a reader (control characters, marks of writing
  direction) is written out before. Only `Markup` that was rendered here is passed on as it is.
- the content policy allows the page's own style sheet and scripts, by their hashes, and images within the file. So text
  that was not escaped by mistake could neither run nor send a request.
- data for scripts is compressed and in base64, so that nothing in it can end the element that it stands in.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lab.system.terminal import escape_unprintable

_HERE = Path(__file__).parent
# Of gzip: higher levels take several times the time for a few percent.
_LEVEL = 6


def render_page(template: str, *, styles: Sequence[str] = (), scripts: Sequence[str] = (), **values: object) -> str:
    """A whole page from a template that extends base.html, with style sheets and scripts of `assets/` inlined."""
    sheets = [_read_asset(name) for name in ("page.css", *styles)]
    programs = [_read_asset(name) for name in scripts]
    page = _environment().get_template(template)
    return page.render(policy=_policy(sheets, programs), styles=sheets, scripts=programs, **values)


def render_parts(title: str, parts: Sequence[str]) -> str:
    """A page without a script, from parts that are HTML already."""
    return render_page("parts.html", title=title, parts=[Markup(part) for part in parts if part])  # noqa: S704 - HTML


def pack(data: Any) -> str:
    """Data for a script of the page: JSON, compressed with gzip, in base64."""
    text = json.dumps(data, separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(text, _LEVEL, mtime=0)).decode()


def embed_svg(drawing: str) -> str:
    """The address of an image within the page: it runs no script and has its own styles."""
    return f"data:image/svg+xml;base64,{base64.b64encode(drawing.encode()).decode()}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_escape_acting,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["seconds"] = format_seconds
    return environment


def _escape_acting(value: object) -> object:
    return value if isinstance(value, Markup) else escape_unprintable(str(value))


def format_seconds(value: float | None) -> str:
    """Seconds with so many digits that the first two that matter are shown; "–" for None."""
    if value is None:
        return "–"
    return f"{value:.0f} s" if abs(value) >= 100 else f"{value:.1f} s" if abs(value) >= 10 else f"{value:.3f} s"


@cache
def _read_asset(name: str) -> Markup:
    return Markup((_HERE / "assets" / name).read_text(encoding="utf-8"))  # noqa: S704 - a file of this package


def _policy(sheets: Sequence[str], programs: Sequence[str]) -> Markup:
    styles = " ".join(_hash(one) for one in sheets)
    scripts = " ".join(_hash(one) for one in programs) or "'none'"
    rules = f"default-src 'none'; style-src {styles}; script-src {scripts}; img-src data:"
    return Markup(f"{rules}; base-uri 'none'; form-action 'none'")  # noqa: S704 - hashes


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
