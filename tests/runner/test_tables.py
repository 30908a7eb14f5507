"""Tables of a scenario: recorded, printed within 80 columns, in text and JSON."""

import json

import pytest

from lab import UserError, record_table
from lab.checks.judge import judge
from lab.history.events import TableRecorded
from lab.metrics.record import RunRecord
from lab.report.formats import json as as_json
from lab.report.formats import text as as_text
from tests.checks.sample_history import SampleHistory

TITLE, HEAD, ROWS = "who reads it", ["from", "to"], [["alice", "read"], ["bob", "a"]]
NOTES = ["a: refused, " + "and nothing is sent " * 6]


def test_the_text_is_80_columns_wide_and_recorded_as_it_is(tmp_path):
    from lab.history.recorder import Recorder
    from lab.runner.context import active

    with Recorder(tmp_path / "history.jsonl") as recorder, active(recorder):
        text = record_table(TITLE, HEAD, ROWS, NOTES)
    (event,) = recorder.events
    assert isinstance(event, TableRecorded)
    assert (event.title, [*map(list, event.rows)], list(event.notes)) == (TITLE, ROWS, NOTES)
    lines = text.splitlines()
    assert lines[:4] == [TITLE, "from   to", "alice  read", "bob    a"]
    assert max(map(len, lines)) <= 80 and text == record_table(TITLE, HEAD, ROWS, NOTES)


def test_a_row_with_too_few_cells_is_an_error():
    with pytest.raises(UserError, match="record_table: the row 'carol' has 1 cells, the head 2"):
        record_table(TITLE, HEAD, [["carol"]])


def test_reports_have_it():
    told = SampleHistory()
    told.add(TableRecorded, title=TITLE, head=("from", "to"), rows=(("alice", "\x1b[2J"),), notes=("a: refused",))
    record = RunRecord(tuple(told.finish().events), told.plan)
    said = as_text.render(record, judge(record), 80)
    assert f"{TITLE}\nfrom   to\nalice  " in said and "a: refused" in said and "\x1b" not in said
    (table,) = json.loads(as_json.render(record, judge(record)))["tables"]
    assert (table["title"], table["head"], table["rows"]) == (TITLE, ["from", "to"], [["alice", "\x1b[2J"]])


@pytest.mark.parametrize("programs", [False, True], ids=["for people", "for programs"])
def test_run_prints_it_or_has_it_in_what_is_told_to_programs(programs, tmp_path, capsys):
    from lab.cli.output import make_batch_callbacks

    told = SampleHistory()
    told.add(TableRecorded, title=TITLE, head=("from", "to"), rows=(("alice", "read"),), notes=("a: refused",))
    record = RunRecord(tuple(told.finish().events), told.plan)
    results = [] if programs else None
    make_batch_callbacks(lambda error: 70, results).report(tmp_path, record, judge(record))
    said = capsys.readouterr().out
    if programs:
        assert said == "" and results[0]["folder"] == str(tmp_path)
        assert results[0]["tables"][0]["rows"] == (("alice", "read"),) and results[0]["verdict"]["value"] == "unknown"
    else:
        assert said == f"\n{TITLE}\nfrom   to\nalice  read\na: refused\n\n"
