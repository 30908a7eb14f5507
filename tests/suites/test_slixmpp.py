"""slixmpp's integration tests, as its authors ship them, with an account on each of two federated servers.

The sources are downloaded in the version that the lab itself uses; only the tests are taken from them, the library is
the installed one. A test that fails here and is not expected to, or no longer fails, is a failure.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

pytestmark = [pytest.mark.suites, pytest.mark.live]

XMPPLAB = [sys.executable, "-m", "lab.cli"]

_NO_MODERATION = "rooms of Prosody moderate with the feature +moderation only (XEP-0425)"
_PRIVATE_STORAGE = "the test compares texts, and ejabberd returns attributes in another order (XEP-0049)"

#: What is expected to fail, and why, by the software of the first and the second account's server.
EXPECTED = {
    ("prosody", "prosody"): {"test_moderate_msg": _NO_MODERATION},
    ("prosody", "ejabberd"): {"test_moderate_msg": _NO_MODERATION},
    ("ejabberd", "prosody"): {"test_privatestorage": _PRIVATE_STORAGE},
    ("ejabberd", "ejabberd"): {"test_privatestorage": _PRIVATE_STORAGE},
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
def test_it_ends_as_expected(pair: tuple[str, str], suite: Path, tmp_path: Path) -> None:
    name = f"suite-{'-'.join(pair)}"
    _xmpplab("up", f"pair,software={'+'.join(pair)}", "--name", name, "--runtime", "processes")
    try:
        variables = {}
        for number, server in ((1, "a"), (2, "b")):
            _xmpplab("person", f"tester{number}@{server}", "--password", f"secret-{number}", "--name", name)
            variables[f"CI_ACCOUNT{number}"] = f"tester{number}@{server}.test"
            variables[f"CI_ACCOUNT{number}_PASSWORD"] = f"secret-{number}"
        outcomes = _run(suite, name, {**variables, "CI_MUC_SERVER": "conference.a.test"}, tmp_path / "junit.xml")
    finally:
        _xmpplab("down", name)
    failed = {test for test, outcome in outcomes.items() if outcome == "failed"}
    assert sum(outcome == "passed" for outcome in outcomes.values()) >= 30, outcomes
    assert failed == set(EXPECTED[pair]), {
        "not expected": failed - set(EXPECTED[pair]),
        "passes again": set(EXPECTED[pair]) - failed,
    }


def _xmpplab(*words: str) -> None:
    done = subprocess.run([*XMPPLAB, *words], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr


def _run(suite: Path, name: str, variables: dict[str, str], report: Path) -> dict[str, str]:
    """The outcome of each test, by its name: "passed", "failed" or "skipped"."""
    command = [
        *XMPPLAB, "with", "--name", name, "--",
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "60", "--junitxml", str(report),
        "itests",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=suite, env={**os.environ, **variables}, capture_output=True, text=True, timeout=900
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    outcomes = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        ended = {element.tag for element in case}
        outcome = "skipped" if "skipped" in ended else "failed" if ended & {"failure", "error"} else "passed"
        outcomes[case.get("name", "")] = outcome
    return outcomes
