import json
import stat
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import UserError
from lab.history.events import FORMAT, KINDS, Note, RunStarted
from lab.history.reader import HistoryGap, read
from lab.history.recorder import Recorder
from tests.history.strategies import events, events_of


def note(text="hello"):
    return Note(at=1.5, text=text)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_event_comes_back_equal(kind, tmp_path_factory):
    @settings(max_examples=20)
    @given(events_of(KINDS[kind]))
    def comes_back(event):
        path = tmp_path_factory.mktemp("history") / "h.jsonl"
        with Recorder(path) as recorder:
            recorder.record(event)
        assert read(path) == (event,)

    comes_back()


@settings(max_examples=30)
@given(st.lists(events, max_size=8))
def test_a_whole_history_comes_back_in_order(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("history") / "h.jsonl"
    with Recorder(path) as recorder:
        for event in written:
            recorder.record(event)
        assert recorder.events == written
    assert read(path) == tuple(written)


def test_the_file_is_private_and_flushed_event_by_event(tmp_path):
    recorder = Recorder(tmp_path / "h.jsonl")
    assert stat.S_IMODE((tmp_path / "h.jsonl").stat().st_mode) == 0o600
    recorder.record(note())
    assert read(tmp_path / "h.jsonl") == (note(),)
    recorder.close()


def test_a_history_is_never_overwritten(tmp_path):
    Recorder(tmp_path / "h.jsonl").close()
    with pytest.raises(UserError, match="there is a history already"):
        Recorder(tmp_path / "h.jsonl")


def test_nothing_is_recorded_after_the_end(tmp_path):
    recorder = Recorder(tmp_path / "h.jsonl")
    recorder.close()
    recorder.close()
    with pytest.raises(ValueError, match="closed"):
        recorder.record(note())


def test_listeners_hear_everything_until_they_have_enough(tmp_path):
    heard = []
    with Recorder(tmp_path / "h.jsonl") as recorder:
        end = recorder.on_event(heard.append)
        recorder.record(note("one"))
        end()
        end()
        recorder.note("two")
    assert [event.text for event in heard] == ["one"]


def test_an_error_of_a_listener_reaches_the_caller_with_the_event_kept(tmp_path):
    def broken(event):
        raise RuntimeError("cannot listen")

    with Recorder(tmp_path / "h.jsonl") as recorder:
        recorder.on_event(broken)
        with pytest.raises(RuntimeError, match="cannot listen"):
            recorder.record(note())
    assert read(tmp_path / "h.jsonl") == (note(),)


def test_a_value_that_json_lacks_leaves_no_trace(tmp_path):
    with Recorder(tmp_path / "h.jsonl") as recorder:
        with pytest.raises(ValueError, match="JSON"):
            recorder.record(Note(at=float("nan"), text=""))
        assert recorder.events == []
    assert read(tmp_path / "h.jsonl") == ()


def test_threads_do_not_mix_their_lines(tmp_path):
    with Recorder(tmp_path / "h.jsonl") as recorder:

        def work(number):
            for index in range(200):
                recorder.record(note(f"{number}-{index}"))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    texts = [event.text for event in read(tmp_path / "h.jsonl") if isinstance(event, Note)]
    assert sorted(texts) == sorted(f"{number}-{index}" for number in range(4) for index in range(200))
    assert texts == [event.text for event in recorder.events if isinstance(event, Note)]


def test_the_line_that_a_killed_run_was_writing_is_dropped_and_said(tmp_path):
    path = tmp_path / "h.jsonl"
    with Recorder(path) as recorder:
        recorder.record(note("one"))
        recorder.record(note("two"))
    path.write_bytes(path.read_bytes()[:-9])
    one, said = read(path)
    assert one == note("one")
    assert isinstance(said, Note)
    assert said.by == "reader"
    assert "line 2" in said.text


GARBAGE = {
    "not-json": (b"what is this", "not JSON"),
    "empty": (b"", "not JSON"),
    "a-list": (b"[1]", "not a JSON object but list"),
    "no-kind": (b'{"at": 1}', "unknown event None"),
    "unknown-kind": (b'{"event": "exploded", "at": 1}', "unknown event 'exploded'"),
    "unknown-field": (b'{"event": "note", "at": 1, "text": "", "colour": 1}', "has no field 'colour'"),
    "missing-field": (b'{"event": "note", "at": 1}', "text"),
    "wrong-type": (b'{"event": "note", "at": "now", "text": ""}', "at of 'note' cannot be 'now'"),
    "wrong-inside": (b'{"event": "sent", "at": 1, "message": "m", "sender": "a", "receiver": "b", "stream": "s",'
                     b'"encryption": "plain", "expected": [1]}', "expected of 'sent' cannot be"),
    "binary": (b"\xff\xfe\x00", "not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(GARBAGE))
def test_garbage_is_said_with_its_line(name, tmp_path):
    line, said = GARBAGE[name]
    path = tmp_path / "h.jsonl"
    good = json.dumps(note().to_json()).encode()
    path.write_bytes(good + b"\n" + line + b"\n" + good + b"\n")
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert said in str(caught.value)


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("history") / "h.jsonl"
    path.write_bytes(data)
    try:
        read(path)
    except UserError as error:
        assert str(path) in str(error)


def test_no_file_says_so(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        read(tmp_path / "h.jsonl")


def lines_of(tmp_path, count=4):
    path = tmp_path / "h.jsonl"
    with Recorder(path) as recorder:
        for number in range(1, count + 1):
            recorder.record(note(f"n{number}"))
    return path, path.read_bytes().splitlines(keepends=True)


def test_events_are_numbered_from_one(tmp_path):
    _, lines = lines_of(tmp_path)
    assert [json.loads(line)["seq"] for line in lines] == [1, 2, 3, 4]


GAPS = {
    "first": ([1, 2, 3], 0, "event 1 is missing"),
    "middle": ([0, 2, 3], 1, "event 2 is missing"),
    "several": ([0, 3], 1, "events 2 to 3 are missing"),
    "moved": ([0, 2, 1, 3], 1, "event 2 is missing"),
    "twice": ([0, 1, 1, 2, 3], 2, "event 2 stands after event 2"),
}


@pytest.mark.parametrize("name", sorted(GAPS))
def test_a_line_that_was_taken_out_repeated_or_moved_shows(name, tmp_path):
    kept, place, said = GAPS[name]
    path, lines = lines_of(tmp_path)
    path.write_bytes(b"".join(lines[number] for number in kept))
    events = read(path)
    gap = events[place]
    assert isinstance(gap, HistoryGap)
    assert gap.text == said
    assert [event.text for event in events if isinstance(event, Note)] == [f"n{number + 1}" for number in kept]


def test_a_line_without_its_number_shows(tmp_path):
    path, lines = lines_of(tmp_path, 2)
    path.write_bytes(lines[0] + lines[1].replace(b'"seq":2,', b""))
    assert [event.text for event in read(path) if isinstance(event, HistoryGap)] == [
        "the event after number 1 has no number"
    ]


@pytest.mark.parametrize("number", ["true", "0", '"2"', "1.0"])
def test_a_number_that_is_none_is_said_with_its_line(number, tmp_path):
    path, lines = lines_of(tmp_path, 1)
    path.write_bytes(lines[0].replace(b'"seq":1', b'"seq":' + number.encode()))
    with pytest.raises(UserError, match=f"{path}:1: seq cannot be"):
        read(path)


def test_an_older_history_is_read_with_a_note(tmp_path):
    path = tmp_path / "h.jsonl"
    path.write_bytes(json.dumps(note().to_json()).encode() + b"\n")
    event, said = read(path)
    assert event == note()
    assert isinstance(said, Note) and "is of format 1" in said.text


def test_a_later_format_is_refused(tmp_path):
    path = tmp_path / "h.jsonl"
    with Recorder(path) as recorder:
        recorder.record(
            RunStarted(at=1.0, scenario="s", title="", topology="pair", runtime="processes", format=FORMAT + 1)
        )
    with pytest.raises(UserError, match=f":1: the history is of format {FORMAT + 1}"):
        read(path)
