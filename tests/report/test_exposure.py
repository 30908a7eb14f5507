"""The text and the JSON of exposure: within the width, with reasons for what is unknown, and foreign text escaped."""

import json
from dataclasses import replace

import pytest

from lab.cli.app import app
from lab.cli.entry_point import run
from lab.history.events import RunEnded
from lab.lifecycle.feed_record import read_feeds
from lab.metrics.conversations import plan_conversations
from lab.metrics.exposure import FACTS
from lab.metrics.record import RunRecord
from lab.plan import files
from lab.plan.layout import Layout
from lab.report.exposure import Exposure, list_measures, render, to_json
from lab.runner import folders
from lab.servers.conventions import FEED
from lab.topology.files import load
from lab.topology.spec import Server
from tests.checks.sample_history import SampleHistory, plan
from tests.metrics.exposed_history import BOB, exposed, stanza
from tests.report.test_summary import written


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def shown_of(told):
    return Exposure.of_run(RunRecord((*told.events, RunEnded(at=told.time, how="finished")), told.plan))


def test_the_table_has_a_row_for_each_fact_and_names_the_proof() -> None:
    told, proof = exposed()
    text = render(shown_of(told))
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    assert set(FACTS.values()) <= rows.keys()
    assert f"1 ({proof['typing']})" in rows["typing"]
    assert "Unknown at public: everything (it has no feed, or nothing in it)." in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_many_servers_stand_in_blocks_below_each_other() -> None:
    servers = tuple(Server(f"server-{number}", f"s{number}.test", "prosody", "") for number in range(12))
    told = SampleHistory(plan(servers, links=()))
    text = render(shown_of(told))
    assert text.count(FACTS["rooms"]) > 1
    assert all(len(line) <= 80 for line in text.splitlines())
    assert all(server.name in text.partition("In brackets")[0] for server in servers)


def test_json_has_each_subject_with_its_event() -> None:
    told, proof = exposed()
    found = json.loads(json.dumps(to_json(shown_of(told))))
    typing = next(one for one in found["exposure"] if (one["server"], one["fact"]) == ("island", "typing"))
    assert (typing["count"], typing["event"]) == (1, proof["typing"])
    assert typing["subjects"] == [["alice@island.test bob@home.test", proof["typing"]]]
    assert {"conversation_share", "concentration", "half_seen", "half_disconnected"} <= found.keys()
    assert {"gini", "entropy", "nakamoto"} <= found.keys()


def test_the_sentences_name_networks_where_servers_have_labels() -> None:
    told, _ = exposed()
    assert "network" not in render(shown_of(told))
    topology = told.plan.topology
    told.plan = replace(
        told.plan, topology=replace(topology, servers=tuple(replace(one, hosting="cloud") for one in topology.servers))
    )
    told.events = [one for one in told.events if getattr(one, "server", "") != "public"]
    text = render(shown_of(told))
    assert "HHI by network" in text
    assert "people by network" in text and "people by operator" not in text


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(told):
        return written(told, folders.make(folders.RUNS, "story", "three"))

    return make


def test_the_verb_shows_a_run_and_escapes_what_others_wrote(folder, capsys) -> None:
    told, _ = exposed()
    stanza(told, "home", "message", f"{BOB}/phone", "\x1b]0;x\x07@home.test", id="evil", body=True)
    folder(told.finish())
    assert run(app, ["exposure"]) == 0
    assert "who writes to whom" in capsys.readouterr().out
    assert run(app, ["exposure", "-f", "json"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "evil" in out


def test_a_run_whose_servers_have_no_feed_says_so(folder, capsys) -> None:
    folder(SampleHistory().finish())
    assert run(app, ["exposure"]) == 0
    out = capsys.readouterr().out
    assert "Unknown at island, home, public: everything (it has no feed, or nothing in it)." in " ".join(out.split())


def test_what_is_no_run_or_is_damaged_is_bad_usage(folder, capsys, tmp_path) -> None:
    assert run(app, ["exposure"]) == 64
    assert "no run yet" in capsys.readouterr().err
    assert run(app, ["exposure", str(tmp_path)]) == 64
    assert "not the folder of a run" in capsys.readouterr().err
    path = folder(exposed()[0].finish())
    with (path / folders.HISTORY).open("a") as file:
        file.write("garbage\n")
    assert run(app, ["exposure"]) == 64
    assert f"{folders.HISTORY}:" in capsys.readouterr().err
    (path / folders.PLAN).unlink()
    assert run(app, ["exposure", str(path)]) == 64
    assert run(app, ["exposure", str(path), "-t", "pair"]) == 64
    assert "give one of them" in capsys.readouterr().err


def test_topologies_are_compared_under_the_same_conversations(capsys) -> None:
    assert run(app, ["exposure", "-t", "one-giant", "-t", "many-small", "-u", "40", "-f", "json"]) == 0
    giant, small = json.loads(capsys.readouterr().out)
    assert giant["conversations"] == small["conversations"]
    assert max(one["share"] for one in giant["conversation_share"]) > 1.5 * max(
        one["share"] for one in small["conversation_share"]
    )
    assert run(app, ["exposure", "-t", "one-giant", "--seed", "2", "-u", "40", "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0] != giant
    assert run(app, ["exposure", "-t", "one-giant", "-t", "three-clouds"]) == 0
    out = capsys.readouterr().out
    assert "one-giant" in out
    assert all(len(line) <= 80 for line in out.splitlines())


@pytest.mark.parametrize("options", [["-t", "pair", "--degree", "3"], ["-t", "nowhere-at-all"]])
def test_what_cannot_be_compared_is_bad_usage(options, capsys) -> None:
    assert run(app, ["exposure", *options]) == 64
    assert capsys.readouterr().err.startswith("xmpplab: ")


def test_a_plan_with_labels_reads_back() -> None:
    servers = (Server("a", "a.test", "prosody", "13.0", operator="x", hosting="y"),)
    text = files.dump(plan(servers, links=()))
    assert files.load(text).topology.servers[0].hosting == "y"


def test_a_lab_is_shown_from_its_feeds_and_cites_their_lines(tmp_path) -> None:
    told, _ = exposed()
    layout = Layout(tmp_path)
    layout.plan.write_text(files.dump(told.plan))
    stanza = (
        '{"at": %d, "direction": "%s", "stream": "%s", "name": "message", "type": "chat", "id": "%s", '
        '"from": "alice@island.test/x", "to": "bob@home.test", "size": 200, "encryption": null, "body": true, '
        '"stanza": "<message/>", "peer": "%s"}\n'
    )
    opened = (
        '{"at": 1, "event": "stream-opened", "stream": "c2s", "direction": "in", "peer": "alice@island.test/x", '
        '"id": "1", "tls": "TLSv1.3", "authentication": "SCRAM-SHA-256", "address": "127.0.0.1"}\n'
    )
    lines = {
        "island": ['{"at": 1, "event": "started"}\n', opened, stanza % (5, "in", "c2s", "m1", "alice@island.test/x")],
        "home": ['{"at": 1, "event": "started"}\n', stanza % (6, "in", "s2s", "m1", "island.test"), '{"at": 7, "e'],
    }
    for name, feed in lines.items():
        layout.server(name).mkdir(parents=True)
        (layout.server(name) / FEED).write_text("".join(feed))
    shown = Exposure.of_lab(read_feeds(layout))
    found = {(cell.server, cell.fact): cell for cell in shown.cells}
    assert (found["island", "contacts"].count, found["island", "contacts"].event) == (1, 3)
    assert (found["home", "texts"].count, found["home", "texts"].event) == (1, 2)
    assert found["island", "addresses"].subjects == (("127.0.0.1", 2),)
    assert found["home", "typing"].count == 0
    assert found["public", "contacts"].count is None
    assert "the line of that server's feed.jsonl" in render(shown)
    assert to_json(shown)["conversation_share"][0]["people"] == 1


def test_a_run_a_lab_and_topologies_exclude_each_other(capsys) -> None:
    assert run(app, ["exposure", "--name", "mine", "-t", "pair"]) == 64
    assert "--name and -t are different things" in capsys.readouterr().err
    assert run(app, ["exposure", "--name", "no-such-lab"]) == 64
    assert "no-such-lab" in capsys.readouterr().err


def test_encryptions_stand_side_by_side(tmp_path, monkeypatch, capsys) -> None:
    told, _ = exposed()
    told.device("carol", "island")
    told.add(RunEnded, how="finished")
    folder = written(told, folders.make(tmp_path, "story", "three"))
    assert run(app, ["exposure", str(folder), "--encryptions"]) == 0
    text = capsys.readouterr().out
    assert text.split("\n", 1)[0].split() == ["omemo", "plain"]
    assert (
        run(app, ["exposure", str(folder), "--encryptions", "-f", "json", "--html", str(tmp_path / "page.html")]) == 0
    )
    shown = capsys.readouterr()
    assert {"omemo", "plain"} == json.loads(shown.out).keys()
    assert shown.err.splitlines()[-1] == (tmp_path / "page.html").as_uri()
    assert "What remains visible, by encryption" in (tmp_path / "page.html").read_text()
    assert run(app, ["exposure", "-t", "pair", "--encryptions"]) == 64
    assert "--encryptions is for runs" in capsys.readouterr().err


def test_a_run_that_broke_off_before_anybody_was_there_has_no_encryptions(folder, capsys) -> None:
    path = folder(SampleHistory().finish())
    assert run(app, ["exposure", str(path), "--encryptions"]) == 0
    assert "no encryption" in capsys.readouterr().out
    assert run(app, ["exposure", str(path), "--encryptions", "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {}


def test_a_page_has_whole_stanzas_is_its_owners_alone_and_links_the_runs_diagram_beside_it(
    folder, tmp_path, capsys
) -> None:
    path = folder(exposed()[0].finish())
    (path / "page.html").write_text("the page of the run")
    for file in (path / "exposure.html", tmp_path / "elsewhere.html"):
        assert run(app, ["exposure", str(path), "--html", str(file)]) == 0
        assert file.stat().st_mode & 0o077 == 0
        assert capsys.readouterr().out.splitlines()[-1] == file.absolute().as_uri()
    assert 'href="page.html#event-' in (path / "exposure.html").read_text()
    assert "page.html" not in (tmp_path / "elsewhere.html").read_text()


def test_the_comparisons_page_has_its_address_printed(tmp_path, capsys) -> None:
    assert run(app, ["exposure", "-t", "pair", "--html", str(tmp_path / "pair.html")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (tmp_path / "pair.html").as_uri()


def test_without_a_feed_nobody_says_that_no_server_saw_it() -> None:
    told = SampleHistory()
    told.say(told.device("alice", "island"), told.device("bob", "home"))
    told.events = [one for one in told.events if not hasattr(one, "server")]
    said = list_measures(shown_of(told).conversations)
    assert said[0] == "1 conversation, 1 of them in no server's feed."
    planned = list_measures(plan_conversations(load("line:3"), [(0, 2)], 3))
    assert planned[0] == "1 conversation, 1 of them seen by no server."
