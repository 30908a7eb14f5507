"""Declared faults in files: what is wrong is said with line and column, and nothing of it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import UserError
from lab.topology.files import load, load_faults

HEAD = """servers: {a: {}, b: {}, c: {software: ejabberd}, d: {software: scripted}}
links:
  - {between: [a, b]}
  - {between: [b, c]}
  - {between: [a, d], direct: true}
faults:
"""


def test_faults_stand_in_a_topology_and_in_a_file_of_their_own(tmp_path: Path) -> None:
    listed = "  - {name: storm, action: partition, groups: [[b]], at: 5s}\n  - {action: kill, restart: 5s}\n"
    (tmp_path / "all.yaml").write_text(HEAD + listed)
    (tmp_path / "faults.yaml").write_text(f"faults:\n{listed}")
    topology = load(tmp_path / "all.yaml")
    assert [(one.name, one.action, one.at, one.duration) for one in topology.faults] == [
        ("storm", "partition", 5.0, None), ("kill-2", "kill", 0.0, 5.0),
    ]  # fmt: skip
    assert load_faults(tmp_path / "faults.yaml", [topology]) == topology.faults


def test_faults_change_nothing_of_what_a_topology_is(tmp_path: Path) -> None:
    """A lab that is up is used whatever faults are declared."""
    for name, text in (("one", ""), ("two", "  - {action: stop}\n")):
        (tmp_path / f"{name}.yaml").write_text(f"name: x\n{HEAD if text else HEAD.replace('faults:', '')}{text}")
    assert load(tmp_path / "one.yaml") == load(tmp_path / "two.yaml")


WRONG = [
    ("{action: bend}", "7:14: faults[0].action: there is no action 'bend'"),
    ("{groups: [[a]]}", "7:5: faults[0]: `action` is missing: one of"),
    ("partition", "7:5: faults[0]: must be a mapping"),
    ("{action: partition}", "faults[0].groups: is missing: Lists of servers"),
    ("{action: partition, groups: [[a], [a]]}", "7:33: faults[0].groups: a cannot be in two groups"),
    ("{action: partition, groups: [[]]}", "faults[0].groups: names no server"),
    ("{action: partition, groups: []}", "faults[0].groups: names no group"),
    ("{action: partition, groups: a}", "faults[0].groups: 'a' are no groups"),
    ("{action: partition, groups: [[a], [x]]}", "7:40: faults[0].groups[1][0]: no server 'x'"),
    ("{action: partition, groups: [[a]], at: 5}", "7:44: faults[0].at: 5 has no unit"),
    ("{action: partition, groups: [[a]], selector: {server: a}}", "faults[0].selector: partition has no such field"),
    ("{action: partition, groups: [[a]]}", "7:33: faults[0].groups: a - d: nothing of the lab's is on a direct link"),
    ("{action: stop, selector: {link: [a, b]}}", "7:31: faults[0].selector.link: cannot be selected by"),
    ("{action: stop, selector: {server: d}}", "faults[0].selector: d: the lab does not run it"),
    ("{action: stop, selector: {software: jabberd2}}", "no server of this topology fits"),
    ("{action: stop, every: 5s}", "faults[0].every: needs a `restart`"),
    ("{action: stop, every: 5s, duration: 5s}", "faults[0].duration: must be shorter than `every`"),
    ("{action: stop, restart: 5s, duration: 5s}", "faults[0].restart: is the same as duration"),
    ("{action: restart, duration: 5s}", "faults[0].duration: restart happens once"),
    ("{action: stop, mode: fixed}", "faults[0].mode: `fixed` needs a `value`"),
    ("{action: stop, mode: one, value: 3}", "faults[0].value: only fixed"),
    ("{action: stop, mode: some}", "faults[0].mode: 'some' is none of all, one"),
    ("{action: stop, seed: x}", "faults[0].seed: must be a whole number"),
    ("{action: conditions, selector: {link: [a, b]}}", "faults[0]: says nothing of the link"),
    ("{action: conditions, latency: 5ms, delay: 5ms}", "faults[0].delay: is the same as latency"),
    ("{action: conditions, latency: 5ms, jitter: 9ms}", "faults[0].jitter: is larger than latency"),
    ("{action: conditions, latency: 5ms, selector: {link: [a, c]}}", "selector.link: a and c are not linked"),
    ("{action: conditions, latency: 5ms, selector: {link: [a, d]}}", "a - d: nothing of the lab's is on a direct"),
    ("{action: conditions, latency: 5ms, direction: forward}", "'forward' is none of both, to, from"),
    ("{action: conditions, latencyy: 5ms}", "7:26: faults[0].latencyy: conditions has no such field, did you mean 'la"),
    ("{action: client}", "faults[0].selector: names nobody: write `selector: {person: alice@a}`"),
    ("{action: client, selector: {person: alice}}", "selector.person: 'alice' is no person: write a name and a server"),
    ("{action: client, selector: {person: alice@x}}", "faults[0].selector.person: no server 'x'"),
    ("{action: client, selector: {server: a}}", "selector.server: cannot be selected by"),
    ("{action: client, how: gone, selector: {person: alice@a}}", "faults[0].how: 'gone' is none of dropped, stalled"),
    ("{action: flap, down: 1ms, up: 1s}", "faults[0].down: 1ms is too short"),
]


@pytest.mark.parametrize(("fault", "said"), WRONG, ids=[one[0] for one in WRONG])
def test_what_is_wrong_is_said_at_its_place(tmp_path: Path, fault: str, said: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(f"{HEAD}  - {fault}\n")
    with pytest.raises(UserError) as caught:
        load(file)
    assert said in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text("faults:\n  - {action: stop, at: 5}\n  - {action: stop, att: 5s}\nmore: 1\n")
    with pytest.raises(UserError) as caught:
        load_faults(file)
    assert [line.split(": ")[0].removeprefix(f"{file}:") for line in str(caught.value).splitlines()] == [
        "2:24", "3:20", "4:1",
    ]  # fmt: skip
    file.write_text("")
    with pytest.raises(UserError, match="the file is empty: write `faults:"):
        load_faults(file)
    with pytest.raises(UserError, match="there is no such file"):
        load_faults(tmp_path / "none.yaml")


def test_two_faults_of_one_name_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text("faults:\n  - {name: x, action: stop}\n  - {name: x, action: kill}\n")
    with pytest.raises(UserError, match=r"faults\[1\].name: another fault is called 'x' already"):
        load_faults(file)


DIRECTED = """name: both
servers: {a: {features: [bidi]}, b: {features: [bidi]}, c: {}}
links: [{between: [a, b]}, {between: [b, c]}]
faults:
  - {action: conditions, latency: 5ms, direction: to, selector: {link: [%s]}}
"""


def test_one_stream_of_both_directions_has_no_directed_fault(tmp_path: Path) -> None:
    """Where both ends have XEP-0288; otherwise each direction has a stream of its own."""
    file = tmp_path / "both.yaml"
    file.write_text(DIRECTED % "b, c")
    assert load(file).faults
    file.write_text((DIRECTED % "a, b").replace("direction: to", "direction: both"))
    assert load(file).faults
    file.write_text(DIRECTED % "a, b")
    with pytest.raises(UserError, match=r"both.yaml:5:.*direction: a - b: one stream may carry both directions"):
        load(file)
