"""`xmpplab demo`: two scenarios, a load, a page; interrupted, it leaves what was measured and nothing else."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.cli.entry_point import run
from lab.load import demonstration
from lab.load.metrics.run_folder import read
from lab.plan.layout import find_home
from lab.runner.batch import BatchResult
from lab.topology.files import load
from tests.cli.leftovers import left
from tests.runtimes import PROCESSES, SLOW_CONTAINERS

#: The verb with a load of another length: ten seconds are for people.
DEMO = (
    "import sys; from lab.load import demonstration; demonstration.LENGTH = sys.argv.pop(1); "
    "from lab.cli import main; sys.exit(main())"
)


def _words(length: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", DEMO, length, "demo", *arguments]


@pytest.fixture
def labs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the labs of a home of its own: other tests may have labs meanwhile. What was fetched is shared."""
    monkeypatch.setenv("XMPPLAB_CACHE", os.environ.get("XMPPLAB_CACHE") or str(find_home() / "cache"))
    with tempfile.TemporaryDirectory(prefix="xl-") as folder:
        Path(folder).chmod(0o711)  # pytest's own folders are closed to the user that servers run as
        monkeypatch.setenv("XMPPLAB_HOME", folder)
        yield Path(folder, "labs")


@pytest.mark.live
@pytest.mark.parametrize("runtime", [PROCESSES, SLOW_CONTAINERS])
def test_a_demo_ends_with_three_verdicts_and_the_page(tmp_path: Path, labs: Path, runtime: str) -> None:
    words = _words("2s", "--runtime", runtime)
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^(\w+): (\w+)", done.stdout, re.M)[:3] == [
        ("VALID", "everyone_writes"),
        ("VALID", "omemo_first_contact"),
        ("VALID", "neighbours"),
    ]
    assert "Note: island, home, public send a feed of their stanzas" in done.stdout
    *_, sentence, page = done.stdout.splitlines()
    assert sentence == "3 of 3 runs are valid."
    kept = read(tmp_path / "runs" / "latest")
    assert page == f"The load's page: {(kept.folder.resolve() / 'page.html').as_uri()}"
    assert (kept.folder / "page.html").read_text().count("<svg") == 7  # nothing bounced
    assert kept.result.total.sent == kept.result.total.received == 100
    assert len([path for path in (tmp_path / "runs").iterdir() if path.name != "latest"]) == 3
    assert not [*labs.iterdir()]


@pytest.mark.live
@pytest.mark.slow
def test_an_interrupted_demo_has_a_page_of_what_was_measured(tmp_path: Path, labs: Path) -> None:
    words = _words("60s", "--runtime", "processes")
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            second = re.match(r"(\d+) of 61 s", line)
            if second and int(second[1]) >= 3:
                break
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert "UNKNOWN: neighbours is within its bounds" in told and "until it was interrupted" in told
    page = tmp_path / told.splitlines()[-1]
    assert "UNKNOWN" in page.read_text() and page.read_text().count("<svg") == 7
    assert not [*labs.iterdir()]
    deadline = time.monotonic() + 60
    while left(tmp_path):
        assert time.monotonic() < deadline, f"still there: {left(tmp_path)}"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("codes", "expected"), [((0, 0, 0), 0), ((0, 0, 1), 1), ((2, 0, 0), 2), ((2, 1, 0), 1), ((3,), 3)]
)
def test_the_gravest_verdict_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], codes: tuple[int, ...], expected: int
) -> None:
    async def demonstrated(*_: object) -> tuple[list[BatchResult], Path | None]:
        return [BatchResult("one", "pair", "?", code, 1.0, None) for code in codes], None

    monkeypatch.setattr(demonstration, "demonstrate", demonstrated)
    from lab.cli.app import app

    assert run(app, ["demo"]) == expected
    assert f"{sum(not code for code in codes)} of {len(codes)} runs are valid." in capsys.readouterr().out


@pytest.mark.parametrize(("servers", "said"), [("a: {software: scripted}", "needs a server"), ("a: [", "mine.yaml:")])
def test_what_cannot_be_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], servers: str, said: str
) -> None:
    from lab.cli.app import app

    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(f"name: mine\nteaches: Nobody lives here.\nservers: {{{servers}}}\n")
    assert run(app, ["demo", "-t", "mine.yaml"]) == 64
    assert said in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.parametrize(("topology", "traffic"), [("pair", "neighbours"), ("scripted_peer", "local")])
def test_the_load_goes_along_links_where_people_are_at_both_ends(topology: str, traffic: str) -> None:
    found = demonstration.load_request(topology, load(topology), "processes", Path("runs"))
    assert found.load["traffic"] == traffic
