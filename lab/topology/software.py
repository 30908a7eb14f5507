"""What can stand behind `software:` in a topology: `prosody`, `prosody@13.0`, `./mine.yaml`, `external`, `scripted`.

The topology is above the server softwares in the import order, so what they are called and which versions they have
stands here once more; a test of the registry in lab/servers holds both tables equal.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.errors import UserError
from lab.topology.words import choices, suggestion

# Versions per software the lab can start by itself; the first is the default.
KNOWN: dict[str, tuple[str, ...]] = {"prosody": ("13.0",), "ejabberd": ("24.12",)}

DEFAULT = "prosody"
EXTERNAL = "external"  # a server that the person runs, given by its address
SCRIPTED = "scripted"  # a raw server-to-server peer in Python
CUSTOM = "custom"  # described by a file of the person
SPECIAL = (EXTERNAL, SCRIPTED)


@dataclass(frozen=True)
class Choice:
    """A parsed `software:`; `file` is the path of a description for "custom", else None."""

    software: str
    version: str = ""
    file: str | None = None

    def __str__(self) -> str:
        return self.file or (f"{self.software}@{self.version}" if self.version else self.software)


def parse(text: object) -> Choice:
    """Read one `software:` value. Raises UserError that names what is known."""
    if not isinstance(text, str):
        raise UserError(f"must be text such as prosody or prosody@13.0, not {text!r}")
    if "/" in text or text.endswith((".yaml", ".yml")):
        return Choice(CUSTOM, file=text)
    name, at, version = text.partition("@")
    if name in SPECIAL:
        if at:
            raise UserError(f"'{name}' has no versions: write {name}")
        return Choice(name)
    if name not in KNOWN:
        raise UserError(_unknown(name))
    if not at:
        return Choice(name, KNOWN[name][0])
    if version not in KNOWN[name]:
        raise UserError(f"no version '{version}' of {name}{suggestion(version, KNOWN[name])}")
    return Choice(name, version)


def _unknown(name: str) -> str:
    if "+" in name:
        return f"'{name}' is several: one server has one software (`defaults` may name several, dealt in turn)"
    near = suggestion(name, [*KNOWN, *SPECIAL], otherwise="")
    known = choices([f"{software}@{version}" for software, versions in KNOWN.items() for version in versions])
    if near:
        return f"unknown software '{name}'{near}"
    return f"unknown software '{name}': known are {known}, {', '.join(SPECIAL)}, or the path of a file of yours"
