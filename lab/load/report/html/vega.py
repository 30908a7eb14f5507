"""From Vega-Lite to SVG in the page: vl-convert draws the charts when the page is written, so that it needs no script.

Measured on two cores for a load's page of seven charts: this costs 0.9 CPU seconds and makes a page of 100 to 300 KB.
Interactive charts (Vega with its interpreter in the page) cost 1.4 CPU seconds to bundle, make every page 0.9 MB
larger, show nothing where scripts are forbidden, and need a content policy that allows scripts. The value under the
pointer, which interaction would show, is the SVG's own <title>.

Rules: a mark's `description` becomes its tooltip. Foreground and background are those of the page, so that a chart
follows its dark or light mode; the colours of data are visible on both. Identifiers are unique in the page. Nothing is
fetched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as Tree

import vl_convert

Spec = dict[str, Any]

FOREGROUND, BACKGROUND = "currentColor", "var(--background)"
#: Fonts with the metrics that vl-convert measures text with, so that labels have enough space.
FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"
#: Colours of series, with a contrast of 3:1 or better on white and on dark. People who cannot tell red from green can
#: tell them apart.
COLOURS = ("#2f78c4", "#d9730d", "#1f9d78", "#c2478f", "#8467d7", "#a58a00", "#3aa0c4", "#8a8f98")

_TEXTS = {
    "labelColor": FOREGROUND,
    "titleColor": FOREGROUND,
    "labelFontSize": 11,
    "titleFontSize": 12,
    "titleFontWeight": "normal",
}
_LINES = {"domainColor": FOREGROUND, "tickColor": FOREGROUND, "gridColor": FOREGROUND, "gridOpacity": 0.13}
CONFIG: Spec = {
    "background": None,
    "font": FONT,
    "axis": {**_TEXTS, **_LINES, "titlePadding": 8, "labelLimit": 0},
    "legend": {**_TEXTS, "labelLimit": 0, "layout": {"bottom": {"margin": 30}}},
    "header": {"labelColor": FOREGROUND, "titleColor": FOREGROUND, "labelFontSize": 12},
    "text": {"color": FOREGROUND, "fontSize": 11},
    "view": {"stroke": None},
    "mark": {"aria": False},  # marks with a description set it
    "range": {"category": list(COLOURS)},
}
_SPACE = "{http://www.w3.org/2000/svg}"
#: Attributes without effect: defaults, what is meant for scripts, what the root element has.
_DEFAULTS = {"opacity": "1", "stroke-width": "0", "font-weight": "normal", "fill-opacity": "1", "stroke-opacity": "1"}
_FOREIGN = ("role", "class", "pointer-events", "font-family", "cursor")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def render_svg(spec: Mapping[str, Any], name: str, label: str) -> str:
    """The chart as SVG; `name` must be unique in the page, `label` says in plain text what it shows."""
    drawn = vl_convert.vegalite_to_svg({**spec, "config": CONFIG}, allowed_base_urls=[])
    root = Tree.fromstring(drawn)  # noqa: S314 - drawn by the line above
    _tidy(root, name)
    root.attrib = {"viewBox": root.get("viewBox", ""), "role": "img", "aria-label": label, "font-family": FONT}
    width = root.attrib["viewBox"].split()[2]
    root.set("width", width)  # the page's style lets it shrink
    return Tree.tostring(root, encoding="unicode")


def _tidy(element: Tree.Element, name: str) -> None:
    """Remove what draws nothing; put `name` before identifiers; descriptions become titles."""
    element.tag = element.tag.removeprefix(_SPACE)
    described = element.attrib.pop("aria-label", "")
    if element.tag == "g":
        described = ""  # of a group, axis or legend: the caption of the figure says it better
    for key, value in list(element.attrib.items()):
        if key in _FOREIGN or key.startswith("aria-") or _DEFAULTS.get(key) == value:
            del element.attrib[key]
        elif key == "id":
            element.set(key, f"{name}-{value}")
        else:
            element.set(key, _REFERENCE.sub(rf"url(#{name}-\1)", value))
    for child in list(element):
        if child.get("display") == "none" or child.get("opacity") == "0" or _is_background(child):
            element.remove(child)
        else:
            _tidy(child, name)
    if described:
        title = Tree.Element("title")
        title.text = described
        element.insert(0, title)


def _is_background(element: Tree.Element) -> bool:
    """Whether it is the invisible background of a group."""
    return element.get("class") == "background" and "fill" not in element.attrib and "stroke" not in element.attrib
