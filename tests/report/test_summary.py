import json
import stat
from dataclasses import replace

import pytest

from lab.checks import judge
from lab.errors import UserError
from lab.history.events import Delivered, FaultApplied, Note, Sent, ServerLogged, ServerSaw, Step
from lab.history.recorder import Recorder
from lab.metrics.ledger import ledger
from lab.metrics.record import RunRecord
from lab.plan import files
from lab.report.formats.json import to_json
from lab.report.formats.text import render, write_report
from lab.runner import folders
from lab.runner.judgement import judge_folder, load_record
from tests.checks.sample_history import SampleHistory


def story():
    told = SampleHistory()
    alice, bob, carol = told.device("alice", "island"), told.device("bob", "home"), told.device("carol", "public")
    told.add(Step, text="everyone writes", phase="begin")
    told.add(Step, text="in pairs", phase="begin")
    told.say(alice, bob)
    told.say(bob, carol)
    told.add(Step, text="in pairs", phase="end")
    told.say(alice, carol)
    told.add(Step, text="everyone writes", phase="end")
    return told


def lost():
    told = story().finish()
    told.drop(Delivered, message="m1")
    told.drop(ServerSaw, id="m1", server="home", direction="out")
    return told


def written(told, folder):
    folders.write(folder / folders.PLAN, files.dump(told.plan))
    with Recorder(folder / folders.HISTORY) as recorder:
        for event in told.events:
            recorder.record(event)
    return folder


def text_of(told, width=None):
    record = RunRecord(tuple(told.events), told.plan)
    return render(record, judge(record), width)


def ledger_of(told):
    return ledger(RunRecord(tuple(told.events), told.plan))


def test_a_valid_run_says_so_first_and_counts():
    text = text_of(story().finish())
    assert text.startswith("VALID: 3 messages: 2 delivered once")
    assert "  ok        everyone writes\n  ok          in pairs\n" in text
    assert "  island  public  no    1     0          1        -       -      -" in text
    assert "  island  home    yes   1     1          0        0.050   0.050  0.050" in text
    assert "  -         secrecy: No canary was sent" in text


def test_a_failed_run_names_message_link_and_cause_in_its_first_sentence():
    text = text_of(lost())
    sentence = text.split("\n\n")[0].replace("\n", " ")
    for part in (
        "FAILED: Message m1",
        "island - home",
        "is lost",
        "Likely cause: home received it and sent it to no device",
    ):
        assert part in sentence
    assert "> home in s2s: <message id='m1'>" in text


def test_a_lost_message_is_named():
    text = " ".join(text_of(lost(), 80).split())
    assert "lost messages m1 to bob@home.test/phone (island - home): no fault; home received it" in text


def test_a_failed_run_has_the_time_around_it_and_the_command_that_repeats_it():
    told = lost()
    told.events[0] = replace(told.events[0], command="xmpplab run story -t three")
    sent = told.events[told.index(Sent, message="m1")]
    told.add(FaultApplied, number=1, fault="cut", began=sent.at, at=sent.at + 1, servers=("home",))
    told.add(ServerLogged, server="home", level="error", text="disk full", at=sent.at + 2)
    told.add(ServerLogged, server="public", level="error", text="elsewhere", at=sent.at + 2)
    told.add(ServerLogged, server="home", level="error", text="much later", at=sent.at + 100)
    text = text_of(told)
    assert "around it (seconds since it was sent)\n    +0.000  m1 sent by alice@island.test/phone" in text
    assert "    +1.000  fault cut applied\n    +2.000  home logged (error): disk full\n" in text
    assert "elsewhere" not in text and "much later" not in text
    assert "repeat it\n  xmpplab run story -t three\n" in text
    assert "around it" not in text_of(story().finish())


def test_a_step_that_failed_or_never_ended_is_marked():
    told = SampleHistory()
    told.add(Step, text="one", phase="begin")
    told.add(Step, text="one", phase="end", failed=True)
    told.add(Step, text="two", phase="begin")
    text = text_of(told.finish())
    assert "  FAILED    one" in text
    assert "  not ended  two" in text or "  not ended two" in text


def test_notes_are_shown():
    told = story()
    told.add(Note, text="something to know")
    assert "notes\n  something to know" in text_of(told.finish())


def test_many_findings_are_cut_and_counted():
    told = SampleHistory()
    alice, bob = told.device("alice", "island"), told.device("bob", "home")
    for _ in range(9):
        told.say(alice, bob)
    told.finish()
    for number in range(1, 10):
        told.drop(Delivered, message=f"m{number}")
    assert "and 4 more findings: verdict.json has them all" in text_of(told)


def test_long_stanzas_and_values_are_cut_and_say_how_long_they_are():
    told = lost()
    told.events = [
        replace(one, stanza="<message>" + "y" * 5000) if isinstance(one, ServerSaw) else one for one in told.events
    ]
    told.expect(held=False, expected="'" + "x" * 3000 + "'")
    joined = " ".join(text_of(told).split())
    assert "… (5009 characters)" in joined and "y" * 200 not in joined
    assert "… (3002 characters)" in joined and "x" * 200 not in joined


@pytest.mark.parametrize("width", [80, 120])
def test_a_report_fits_its_width_and_breaks_no_name(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    told = lost()
    told.add(Step, text="everyone writes to everyone " * 6, phase="begin")
    told.add(Note, text="each note has more words than one line can have; " * 4)
    told.drop(Delivered, message="m2")
    long_route = replace(ledger_of(told)[0], sender="a-server-with-a-long-name-01", receiver="b" * 20)
    monkeypatch.setattr("lab.report.formats.text.ledger", lambda record: [long_route])
    text = text_of(told)
    assert width - 25 < max(map(len, text.splitlines())) <= width
    for word in ("a-server-with-a-long-name-01", "b" * 20, "alice@island.test", "delivered"):
        assert word in text
    assert max(map(len, text_of(told, 100).splitlines())) <= 100


def test_report_txt_has_the_same_width_whatever_the_terminal(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    record, judgement = judge_folder(written(lost(), tmp_path))
    write_report(tmp_path, record, judgement)
    assert 100 < max(map(len, (tmp_path / folders.REPORT).read_text().splitlines())) <= 120


def test_json_has_the_run_the_verdict_and_the_ledger():
    told = story().finish()
    record = RunRecord(tuple(told.events), told.plan)
    data = json.loads(json.dumps(to_json(record, judge(record))))
    assert data["run"]["scenario"] == "story"
    assert data["verdict"]["value"] == "valid"
    entry = data["ledger"][0]
    assert {name: round(entry.pop(name), 3) for name in ("delay_median", "delay_p95", "delay_max")} == {
        "delay_median": 0.05, "delay_p95": 0.05, "delay_max": 0.05,
    }  # fmt: skip
    assert entry == {
        "sender": "island", "receiver": "home", "linked": True, "sent": 1, "delivered": 1, "bounced": 0, "both": 0,
        "duplicate": 0, "lost": 0, "late": 0, "unknown": 0, "losses": [],
    }  # fmt: skip
    assert [one["state"] for one in data["steps"]] == ["done", "done"]


def test_a_run_is_judged_from_its_folder_alone(tmp_path):
    folder = written(lost(), tmp_path)
    assert load_record(folder).events
    record, judgement = judge_folder(folder)
    write_report(folder, record, judgement)
    assert judgement.exit_code == 1
    assert json.loads((folder / "verdict.json").read_text())["value"] == "failed"
    assert (folder / "report.txt").read_text().startswith("FAILED: Message m1")
    assert stat.S_IMODE((folder / "report.txt").stat().st_mode) == 0o600
    assert judge_folder(folder)[1] == judgement  # and again


@pytest.mark.parametrize("missing", [folders.PLAN, folders.HISTORY])
def test_a_folder_that_is_no_run_says_what_is_missing(missing, tmp_path):
    folder = written(story(), tmp_path)
    (folder / missing).unlink()
    with pytest.raises(UserError, match=missing):
        load_record(folder)


def test_an_empty_history_is_reported_as_unknown(tmp_path):
    told = SampleHistory()
    told.events.clear()
    record, judgement = judge_folder(written(told, tmp_path))
    assert judgement.exit_code == 2
    assert render(record, judgement).startswith("UNKNOWN: ")


def test_what_a_server_said_does_not_act_on_a_terminal(tmp_path):
    told = story().finish()
    told.add(Step, text="\x1b[31mred \ud800", phase="begin")
    told.add(Note, text="\x1b]0;owned\x07 \u202e", by="server")
    record = RunRecord(tuple(told.events), told.plan)
    write_report(tmp_path, record, judge(record))
    text = (tmp_path / folders.REPORT).read_text()
    assert not {"\x1b", "\x07", "\u202e"} & set(text) and r"\x1b[31mred \ud800" in text
