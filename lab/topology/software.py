"""Values of `software:` in a topology: `prosody`, `prosody@0.12`, `./mine.yaml`, `external`, `scripted`.

Which software there is, and in which versions, is read from the manifests in lab/declarations/servers.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.declarations.manifest import ServerManifest
from lab.declarations.servers import INSTALLED, MANIFESTS
from lab.errors import UserError
from lab.topology.words import list_choices, suggest


@dataclass(frozen=True)
class Choice:
    """A parsed `software:`; `file` is the path of a description for software of the user's own, else None."""

    software: str
    version: str = ""
    file: str | None = None

    def __str__(self) -> str:
        return self.file or (f"{self.software}@{self.version}" if self.version else self.software)


#: The software that files describe.
_DESCRIBED = next(name for name, manifest in MANIFESTS.items() if manifest.described)

#: Names without a version: servers that somebody else starts.
_UNVERSIONED = tuple(name for name, one in MANIFESTS.items() if not one.installed and not one.described)

DEFAULT = Choice(INSTALLED[0], MANIFESTS[INSTALLED[0]].default_version)


def list_spellings() -> list[str]:
    """Every text that names a software, but for paths of files."""
    return [*INSTALLED, *_with_versions(), *_UNVERSIONED]


def describe_values() -> str:
    """The values of `software:`, in a sentence for editors."""
    known = "; ".join(
        [f"{', '.join(INSTALLED)}, with a version as in {DEFAULT}", "a file such as ./mine.yaml", *_UNVERSIONED]
    )
    return f"{known} (default {DEFAULT.software})."


def parse(text: object) -> Choice:
    """Read one `software:` value. Raises UserError that names what is known."""
    if not isinstance(text, str):
        raise UserError(f"must be text such as prosody or prosody@13.0, not {text!r}")
    if "/" in text or text.endswith((".yaml", ".yml")):
        return Choice(_DESCRIBED, file=text)
    name, at, version = text.partition("@")
    if name in _UNVERSIONED:
        if at:
            raise UserError(f"'{name}' has no versions: write {name}")
        return Choice(name)
    if name not in INSTALLED:
        raise UserError(_unknown(name))
    manifest = MANIFESTS[name]
    if not at:
        return Choice(name, manifest.default_version)
    if version not in _numbers(manifest):
        raise UserError(f"no version '{version}' of {name}{suggest(version, _numbers(manifest))}")
    return Choice(name, version)


def _numbers(manifest: ServerManifest) -> list[str]:
    return [version.number for version in manifest.versions]


def _with_versions() -> list[str]:
    return [f"{name}@{number}" for name in INSTALLED for number in _numbers(MANIFESTS[name])]


def _unknown(name: str) -> str:
    if "+" in name:
        return f"'{name}' is several: one server has one software (`defaults` may name several, dealt in turn)"
    if near := suggest(name, [*INSTALLED, *_UNVERSIONED], otherwise=""):
        return f"unknown software '{name}'{near}"
    known = list_choices(_with_versions())
    return f"unknown software '{name}': known are {known}, {', '.join(_UNVERSIONED)}, or the path of a file of yours"
