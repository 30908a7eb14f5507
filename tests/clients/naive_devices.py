"""Devices that are more careless than the lab's, for tests that must notice it. They live in the test's process."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from lab.clients.xmpp import stanzas


def believe_every_carbon(patch: pytest.MonkeyPatch) -> None:
    """A carbon copy is believed whoever has sent it (CVE-2017-5589)."""
    read_carbon = stanzas._carbon

    def believe(xml: ET.Element, carbon: ET.Element, account: str, device: str) -> Any:
        return read_carbon(ET.Element(xml.tag, {**xml.attrib, "from": account}), carbon, account, device)

    patch.setattr(stanzas, "_carbon", believe)
