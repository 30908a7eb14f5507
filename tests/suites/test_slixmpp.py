"""slixmpp's integration tests, as its authors ship them, with an account on each of two federated servers.

The sources are downloaded in the version that the lab itself uses; only the tests are taken from them, the library is
the installed one. A test that fails here and is not expected to, or no longer fails, is a failure; on either
runtime the same is expected.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Collection
from pathlib import Path

import pytest

from lab.system.subprocesses import run

pytestmark = [pytest.mark.suites, pytest.mark.live, pytest.mark.timeout(900)]

XMPPLAB = [sys.executable, "-m", "lab.cli"]
TIME = 800.0  # seconds

_NO_MODERATION = "rooms of Prosody moderate with the feature +moderation only (XEP-0425)"
_PRIVATE_STORAGE = "the test compares texts, and ejabberd returns attributes in another order (XEP-0049)"

#: What is expected to fail, and why, by the software of the first and the second account's server.
EXPECTED = {
    ("prosody", "prosody"): {"test_moderate_msg": _NO_MODERATION},
    ("prosody", "ejabberd"): {"test_moderate_msg": _NO_MODERATION},
    ("ejabberd", "prosody"): {"test_privatestorage": _PRIVATE_STORAGE},
    ("ejabberd", "ejabberd"): {"test_privatestorage": _PRIVATE_STORAGE},
}
#: What ends either way, and why: it is not judged.
RACES = {
    "test_nick_change_leave": "a change of nick is an unavailable presence, too; another server has it late or in time",
}


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with slixmpp's `itests`."""
    folder = tmp_path_factory.mktemp("slixmpp")
    version = importlib.metadata.version("slixmpp")
    download = ["download", "-qq", "--no-deps", "--no-binary", "slixmpp", "--dest", str(folder), f"slixmpp=={version}"]
    done = subprocess.run([sys.executable, "-m", "pip", *download], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    with tarfile.open(folder / f"slixmpp-{version}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    shutil.move(folder / f"slixmpp-{version}" / "itests", folder / "itests")
    shutil.rmtree(folder / f"slixmpp-{version}")
    return folder


@pytest.mark.parametrize("pair", list(EXPECTED), ids="-".join)
async def test_it_ends_as_expected(pair: tuple[str, str], runtime: str, suite: Path, tmp_path: Path) -> None:
    outcomes = await run_suite(pair, runtime, suite, tmp_path / "junit.xml")
    judge(outcomes, EXPECTED[pair])


def judge(outcomes: dict[str, str], expected: Collection[str]) -> None:
    """Fail for a failure that is not expected, and for an expected one that is none any more."""
    assert RACES.keys() <= outcomes.keys(), "a test that is not judged is not there any more"
    failed = {test for test, outcome in outcomes.items() if outcome == "failed"} - RACES.keys()
    assert sum(outcome == "passed" for outcome in outcomes.values()) >= 30, outcomes
    assert failed == set(expected), {
        "not expected": failed - set(expected),
        "passes again": set(expected) - failed,
    }


@pytest.mark.parametrize(
    ("failed", "why"),
    [
        (["expected"], ""),
        (["expected", *RACES], ""),
        (["expected", "new"], "'not expected': {'new'}"),
        ([], "'passes again': {'expected'}"),
    ],
)
def test_new_failures_and_missing_ones_fail(failed: list[str], why: str) -> None:
    names = ["expected", "new", *RACES, *(f"test_{number}" for number in range(30))]
    outcomes = {name: "failed" if name in failed else "passed" for name in names}
    with pytest.raises(AssertionError, match=why) if why else contextlib.nullcontext():
        judge(outcomes, ["expected"])


async def run_suite(pair: tuple[str, str], runtime: str, suite: Path, report: Path) -> dict[str, str]:
    """The outcome of each test, by its name: "passed", "failed" or "skipped"."""
    first, second, muc = "user1@a.test", "user1@b.test", "conference.a.test"
    accounts = (
        f'export CI_ACCOUNT1={first} CI_ACCOUNT1_PASSWORD="$XMPPLAB_PASSWORD" CI_MUC_SERVER={muc} '
        f'CI_ACCOUNT2={second} CI_ACCOUNT2_PASSWORD="$XMPPLAB_PASSWORD"; exec "$0" "$@"'
    )
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "60", "--junitxml", str(report), "itests"]
    lab = ["-t", f"pair,software={'+'.join(pair)},users=1", "--runtime", runtime, "--as", "user1@a"]
    command = [*XMPPLAB, "with", *lab, "--", "sh", "-c", accounts, sys.executable, *tests]
    code, output = await run(command, folder=suite, within=TIME)
    assert code in (0, 1), output
    outcomes = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        ended = {element.tag for element in case}
        outcome = "skipped" if "skipped" in ended else "failed" if ended & {"failure", "error"} else "passed"
        outcomes[case.get("name", "")] = outcome
    return outcomes
