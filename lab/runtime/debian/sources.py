"""Which archive a Debian release comes from: the one that this machine's apt is configured for, or XMPPLAB_ARCHIVE.

The machine's own sources are read (sources.list(5): deb822 files and one-line files) and asked for another
release of the same archive: addresses, components and keyrings stay, the suite is replaced.

    bookworm, stable, testing, sid     ->  <release>
    bookworm-updates                   ->  <release>-updates
    bookworm-security                  ->  <release>-security
    anything else (backports, other vendors)  is left out

XMPPLAB_ARCHIVE holds one or several sources, separated by semicolons, each like a line of sources.list without
its first word: `[options] address [suite [component ...]]`. Left out, the suite is the release and the
component is main. Nothing here reads or writes but `read_machine_sources`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab.errors import MissingError, UserError

VARIABLE = "XMPPLAB_ARCHIVE"

#: Suites that the Debian archive has or had: a source with another one is of another vendor.
_DEBIAN = frozenset(
    {"bullseye", "bookworm", "trixie", "forky", "duke", "sid", "unstable", "testing", "stable", "oldstable"}
)
_KEPT_SUFFIXES = ("", "-updates", "-security")
_ROLLING = frozenset({"sid", "unstable", "testing"})  # without security updates of their own
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"  # from Debian's package debian-archive-keyring
_OPTIONS = {"signed-by": "Signed-By", "arch": "Architectures", "trusted": "Trusted"}  # one-line to deb822 names


@dataclass(frozen=True)
class Source:
    """One entry of an apt sources file; `options` are deb822 fields that are kept as they are."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()

    def text(self) -> str:
        """The entry in deb822 form."""
        fields = [("Types", "deb"), ("URIs", " ".join(self.uris)), ("Suites", " ".join(self.suites))]
        fields += [("Components", " ".join(self.components)), *self.options]
        return "".join(f"{name}: {value}\n" for name, value in fields if value)


def choose_sources(release: str, configured: Sequence[Source], chosen: str | None = None) -> list[Source]:
    """Sources for a release: from XMPPLAB_ARCHIVE if `chosen`, else from the machine's own.

    Raises MissingError if the machine's sources are not those of a Debian archive.
    """
    if chosen:
        return parse_variable(chosen, release)
    found = [source for one in configured if (source := _other_release(one, release))]
    own = [one for one in found if _of_debian(one)] or found
    if not own:
        raise MissingError(
            f"this machine's apt has no Debian archive with the release {release}. Set {VARIABLE} to the address "
            "of one, and install Debian's archive keyring (package debian-archive-keyring), so that signatures can be "
            "checked"
        )
    return own


def parse_variable(text: str, release: str) -> list[Source]:
    """The sources in XMPPLAB_ARCHIVE. Raises UserError."""
    found = []
    for part in filter(None, (one.strip() for one in text.split(";"))):
        options, words = _line_options(part)
        if not words or not re.match(r"[a-z+]+:/", words[0]):
            raise UserError(f"{VARIABLE}: {part!r} is not `[options] address [suite [component ...]]`")
        suites, components = tuple(words[1:2]) or (release,), tuple(words[2:]) or ("main",)
        if "Signed-By" not in dict(options) and Path(_KEYRING).exists():
            options = (*options, ("Signed-By", _KEYRING))
        found.append(Source((words[0],), suites, components, options))
    return found


def read_machine_sources(etc: Path = Path("/etc/apt")) -> list[Source]:
    """Every enabled `deb` source of this machine's apt, in the order that apt reads them."""
    found = []
    paths = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]
    for path in paths:
        found += parse_lines(_text(path))
    for path in sorted((etc / "sources.list.d").glob("*.sources")):
        found += parse_deb822(_text(path))
    return found


def parse_lines(text: str) -> list[Source]:
    """Sources of a one-line file: `deb [signed-by=...] address suite component ...`."""
    found = []
    for line in text.splitlines():
        kind, _, rest = line.partition("#")[0].strip().partition(" ")
        if kind != "deb":
            continue
        options, words = _line_options(rest.strip())
        if len(words) >= 3:
            found.append(Source((words[0],), (words[1],), tuple(words[2:]), options))
    return found


def parse_deb822(text: str) -> list[Source]:
    """Sources of a deb822 file: paragraphs of `Field: value`, continued by indented lines (kept, for inline keys)."""
    found = []
    for paragraph in re.split(r"\n[ \t]*\n", text):
        fields = _fields(paragraph.splitlines())
        types = fields.pop("types", "").split()
        if "deb" not in types or fields.pop("enabled", "yes").strip().lower() in ("no", "false", "0"):
            continue
        uris, suites, components = (tuple(fields.pop(key, "").split()) for key in ("uris", "suites", "components"))
        options = tuple(
            (name, fields[key]) for key, name in _OPTIONS.items() for key in (name.lower(),) if key in fields
        )
        if uris and suites:
            found.append(Source(uris, suites, components, options))
    return found


def _fields(lines: Iterable[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in lines:
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t") and name:
            fields[name] += "\n" + line
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def _line_options(text: str) -> tuple[tuple[tuple[str, str], ...], list[str]]:
    """Options in square brackets at the start of `text`, and the words behind them."""
    match = re.match(r"\[([^]]*)\]\s*", text)
    if match is None:
        return (), text.split()
    pairs = [word.partition("=") for word in match[1].split()]
    options = tuple((_OPTIONS[key], value.replace(",", " ")) for key, _, value in pairs if key in _OPTIONS)
    return options, text[match.end() :].split()


def _other_release(source: Source, release: str) -> Source | None:
    suites: dict[str, None] = {}
    for suite in source.suites:
        base, dash, suffix = suite.partition("/")[0].partition("-")
        if base not in _DEBIAN or dash + suffix not in _KEPT_SUFFIXES:
            continue
        suites[f"{release}{dash}{suffix}"] = None
        if base in _ROLLING and not dash:
            suites[f"{release}-updates"] = None
    if not suites or "main" not in source.components:
        return None
    return replace(source, suites=tuple(suites))


def _of_debian(source: Source) -> bool:
    """True unless the source names a keyring that is not Debian's own: other vendors use Debian's suite names too."""
    keyring = dict(source.options).get("Signed-By", "")
    return not keyring or "debian-archive" in keyring


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, PermissionError):  # apt itself skips what this user may not read
        return ""
