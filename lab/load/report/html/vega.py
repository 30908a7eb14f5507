"""From Vega-Lite to SVG in the page: drawn ahead by vl-convert, so that the page needs no script.

Measurement on two cores for a load's page of seven drawings: ahead they cost 0.9 CPU seconds and make a page of 100 to
300 KB; the interactive way (Vega with its interpreter, inlined) costs 1.4 CPU seconds to bundle, makes every page
0.9 MB larger, shows nothing where scripts are forbidden, and needs a content policy that allows one. So: ahead. What
interaction would have given, the value under the pointer, is the SVG's own <title>.

Rules: a mark's `description` becomes its tooltip. Ink and paper are the page's, so that a drawing follows it, dark or
light; colours of data can be seen on both. Identifiers are made the page's own. Nothing is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as Tree

import vl_convert

Spec = dict[str, Any]

INK, PAPER = "currentColor", "var(--paper)"
#: Metrics like those that vl-convert measures text with, so that labels have the room that they need.
FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"
#: Colours of series, told apart by people who see no red and green, on white and on dark ground (3:1 or better).
COLOURS = ("#2f78c4", "#d9730d", "#1f9d78", "#c2478f", "#8467d7", "#a58a00", "#3aa0c4", "#8a8f98")

_WORDS = {"labelColor": INK, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal"}
CONFIG: Spec = {
    "background": None,
    "font": FONT,
    "axis": {**_WORDS, "domainColor": INK, "tickColor": INK, "gridColor": INK, "gridOpacity": 0.13, "titlePadding": 8},
    "legend": {**_WORDS, "labelLimit": 230, "layout": {"bottom": {"margin": 30}}},
    "header": {"labelColor": INK, "titleColor": INK, "labelFontSize": 12},
    "text": {"color": INK, "fontSize": 11},
    "view": {"stroke": None},
    "mark": {"aria": False},  # those with a description say so
    "range": {"category": list(COLOURS)},
}
_SPACE = "{http://www.w3.org/2000/svg}"
#: Attributes that say nothing: what is so by default, what is meant for scripts, what stands on the whole.
_IDLE = {"opacity": "1", "stroke-width": "0", "font-weight": "normal", "fill-opacity": "1", "stroke-opacity": "1"}
_FOREIGN = ("role", "class", "pointer-events", "font-family", "cursor")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def svg(spec: Mapping[str, Any], name: str, label: str) -> str:
    """The drawing, for a page that has no other of that `name`; `label` says in plain text what it shows."""
    drawn = vl_convert.vegalite_to_svg({**spec, "config": CONFIG}, allowed_base_urls=[])
    root = Tree.fromstring(drawn)  # noqa: S314 - it was drawn here, just now
    _tidy(root, name)
    root.attrib = {"viewBox": root.get("viewBox", ""), "role": "img", "aria-label": label, "font-family": FONT}
    width = root.attrib["viewBox"].split()[2]
    root.set("width", width)  # the page's style lets it shrink
    return Tree.tostring(root, encoding="unicode")


def _tidy(element: Tree.Element, name: str) -> None:
    """Drop what draws nothing; make identifiers unlike those of other drawings; descriptions become titles."""
    element.tag = element.tag.removeprefix(_SPACE)
    described = element.attrib.pop("aria-label", "")
    if element.tag == "g":
        described = ""  # of a group, axis or legend: the figure says it better
    for key, value in list(element.attrib.items()):
        if key in _FOREIGN or key.startswith("aria-") or _IDLE.get(key) == value:
            del element.attrib[key]
        elif key == "id":
            element.set(key, f"{name}-{value}")
        else:
            element.set(key, _REFERENCE.sub(rf"url(#{name}-\1)", value))
    for child in list(element):
        if child.get("display") == "none" or child.get("opacity") == "0" or _is_ground(child):
            element.remove(child)
        else:
            _tidy(child, name)
    if described:
        title = Tree.Element("title")
        title.text = described
        element.insert(0, title)


def _is_ground(element: Tree.Element) -> bool:
    """The unseen ground of a group."""
    return element.get("class") == "background" and "fill" not in element.attrib and "stroke" not in element.attrib
