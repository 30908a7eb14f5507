"""Which sources a release comes from, as a function of what apt is configured for."""

from pathlib import Path

import pytest

from lab.errors import MissingError, UserError
from lab.runtime.debian.sources import (
    Source,
    choose_sources,
    parse_deb822,
    parse_lines,
    parse_variable,
    read_machine_sources,
)

DEB822 = """\
Types: deb deb-src
URIs: http://archive.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

# security
Types: deb
URIs: http://archive.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://vendor.example/apt
Suites: bookworm
Components: main
Signed-By: /etc/apt/keyrings/vendor.gpg

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no
"""


def test_another_release_of_the_same_archive() -> None:
    found = choose_sources("trixie", parse_deb822(DEB822))
    assert [(source.uris, source.suites, source.components) for source in found] == [
        (("http://archive.example/debian",), ("trixie", "trixie-updates"), ("main", "contrib")),
        (("http://archive.example/debian-security",), ("trixie-security",), ("main",)),
    ]


def test_the_text_is_deb822_again() -> None:
    (first, *_) = choose_sources("trixie", parse_deb822(DEB822))
    assert parse_deb822(first.text()) == [first]
    assert "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg" in first.text()


@pytest.mark.parametrize(
    ("line", "suites"),
    [
        ("deb http://archive.example/debian bookworm main", ("trixie",)),
        (
            "deb [arch=amd64 signed-by=/k.gpg] http://a.example/debian stable-updates main # x",
            ("trixie-updates",),
        ),
        ("deb http://archive.example/debian sid main", ("trixie", "trixie-updates")),
        ("deb http://archive.example/debian-security/ bookworm-security main", ("trixie-security",)),
    ],
)
def test_one_line_sources(line: str, suites: tuple[str, ...]) -> None:
    assert [source.suites for source in choose_sources("trixie", parse_lines(line))] == [suites]


@pytest.mark.parametrize(
    "line",
    [
        "deb-src http://archive.example/debian bookworm main",
        "# deb http://archive.example/debian bookworm main",
        "deb http://archive.example/ubuntu noble main universe",
        "deb http://archive.example/vendor bookworm stable",
    ],
)
def test_what_has_no_release_says_what_to_set(line: str) -> None:
    with pytest.raises(MissingError, match="XMPPLAB_ARCHIVE"):
        choose_sources("trixie", parse_lines(line))


def test_the_variable_wins_and_has_defaults() -> None:
    text = "[signed-by=/k.gpg] http://mine.example/debian; http://mine.example/security trixie-security main contrib"
    first, second = choose_sources("trixie", parse_deb822(DEB822), text)
    assert first == Source(("http://mine.example/debian",), ("trixie",), ("main",), (("Signed-By", "/k.gpg"),))
    assert (second.suites, second.components) == (("trixie-security",), ("main", "contrib"))


def test_a_wrong_variable_is_quoted() -> None:
    with pytest.raises(UserError, match=r"archive\.example"):
        parse_variable("archive.example/debian", "trixie")


def test_files_are_read_as_apt_reads_them(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://a.example/debian bookworm main\n")
    (tmp_path / "sources.list.d" / "b.list").write_text("deb http://b.example/debian bookworm main\n")
    (tmp_path / "sources.list.d" / "c.sources").write_text(DEB822)
    (tmp_path / "sources.list.d" / "d.disabled").write_text("deb http://d.example/debian bookworm main\n")
    uris = [source.uris[0] for source in read_machine_sources(tmp_path)]
    assert uris[:2] == ["http://a.example/debian", "http://b.example/debian"]
    assert not [uri for uri in uris if "d.example" in uri or "off.example" in uri]
