"""What people remember: the texts of errors. Each errors/X.yaml has the text it gives in errors/X.txt."""

import os
import socket
import time
from pathlib import Path

import pytest

from lab.errors import UserError
from lab.topology.files import load
from lab.topology.shapes_drawn import SmallWorld
from lab.topology.shorthand import SUFFIXES
from tests.topology.golden import same

ERRORS = Path(__file__).parent / "errors"

SHORT = [
    "ring:2",
    "rinng:6",
    "rinng:6,software=prosdy,unlinked=refusd",
    "star",
    "ring:six",
    "grid:7",
    "grid:12,rows=5",
    "pair:3,foo",
    "ring:6,p=3,usres=2,software=prosdy,latency=40",
    "ring:6,users=1,users=2",
    "small-world:12,k=3",
    "small-world:4,k=4",
    "scale-free:5,m=5",
    "islands:6,islands=4,bridges=maybe",
    "random:5,p=2",
    "full-mesh:500",
    "ring:5000",
    "pair,software=./absent.yaml+prosody@13.0",
    "pair,tls=off,authentication=external",
    "pair,jitter=5ms",
    "pair,placement=every",
    "mixed-pair,usres=6,software=prosdy,p=3",
    "ring,servers=2",
    "./absent.yaml,users=1",
    "hiden-island,users=6",
    "hiden-island",
    "nobody-knows-this",
    "",
]


@pytest.mark.parametrize(
    "file", sorted(one for one in ERRORS.iterdir() if one.suffix in SUFFIXES), ids=lambda file: file.stem
)
def test_errors_of_a_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ERRORS)
    with pytest.raises(UserError) as caught:
        load(Path(file.name))
    same(f"{caught.value}\n", file.with_suffix(".txt"))


def test_errors_of_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    told = []
    for text in SHORT:
        with pytest.raises(UserError) as caught:
            load(text)
        told.append(f"-t {text}\n{caught.value}\n")
    same("\n".join(told), ERRORS / "one_line.txt")


def test_places_are_those_of_the_text(tmp_path: Path) -> None:
    """Golden files could be wrong together: here the columns are counted from the text itself."""
    lines = ["name: places", "servers:", "  island: {usres: 3}", "  home: {}", "links:", "  - {between: [island, hom]}"]
    file = tmp_path / "places.yaml"
    file.write_text("\n".join(lines))
    with pytest.raises(UserError) as caught:
        load(file)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{file}:3:{lines[2].index('usres') + 1}: servers.island.usres: ")
    assert second.startswith(f"{file}:6:{lines[5].index('hom]') + 1}: links[0].between[1]: ")


def test_no_tag_of_a_union_in_a_path(tmp_path: Path) -> None:
    file = tmp_path / "tag.yaml"
    file.write_text("shape: {kind: small-world, servers: x, k: 3.5, q: 1}\n")
    with pytest.raises(UserError) as caught:
        load(file)
    paths = [line.split(": ")[1] for line in str(caught.value).splitlines()]
    assert paths == ["shape.servers", "shape.k", "shape.q"]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda path: path.write_bytes(b"name: \xff\n"), "not UTF-8"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: None, "there is no such file"),
        (lambda path: path.write_text("[" * 700), "nested too deeply"),
        (lambda path: path.write_text("name: \x07\n"), "this is not YAML"),
    ],
    ids=["latin", "folder", "absent", "deep", "control"],
)
def test_files_that_cannot_be_read(made, said: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    made(path)
    with pytest.raises(UserError, match=said) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))


def test_a_shape_that_cannot_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SmallWorld, "TRIES", 0)
    with pytest.raises(UserError, match=r"'small-world:9,k=2':17: k: no connected graph .* larger k"):
        load("small-world:9,k=2")


def test_aliases_cannot_blow_up(tmp_path: Path) -> None:
    """A few hundred bytes of aliases of aliases stay a few hundred bytes."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    file = tmp_path / "laughs.yaml"
    file.write_text("\n".join(lines))
    with pytest.raises(UserError, match="unknown key"):
        load(file)


def _file(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    return file


HUGE = {
    "servers": ("servers:\n" + "".join(f"  s{number}: {{}}\n" for number in range(30_000)), ":1002:3: more than 1000"),
    "links": ("servers: {a: {}}\nlinks:\n" + "  - {between: [a, b]}\n" * 30_000, ":22003:6: more than 22000 links"),
    "flow": ("[" * 100_000, ":1:21: nested too deeply"),
    "block": ("- " * 100_000, ":1:41: nested too deeply"),
    "indented": ("".join(" " * depth + "a:\n" for depth in range(900)), ":21:21: nested too deeply"),
    "keys": ("".join(f"key{number}: 1\n" for number in range(50_000)), ":1001:1: more than 1000 entries"),
    "list": ("- a\n" * 100_000, ":1001:3: more than 1000 entries"),
    "word": (f"teaches: x\nservers: {'x' * 900_000}\n", ":2:10: servers: must be a mapping"),
    "bytes": ("#" * (1 << 20) + "\n", "is larger than a topology can be"),
}


@pytest.mark.parametrize("name", HUGE)
def test_what_could_never_run_is_an_error_at_once(name: str, tmp_path: Path) -> None:
    text, said = HUGE[name]
    began = time.process_time()
    with pytest.raises(UserError) as caught:
        load(_file(tmp_path, text))
    assert said in str(caught.value) and len(str(caught.value)) < 1500
    assert time.process_time() - began < 3, "seconds; tenths on an idle machine"


@pytest.mark.parametrize("kind", ["device", "fifo", "folder", "socket"])
def test_a_topology_is_a_regular_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    else:
        path = Path("/dev/zero")
    with pytest.raises(UserError, match=f"{path}: "):
        load(path)
    own = _file(tmp_path, f"servers: {{a: {{software: {path if kind == 'device' else './t.yaml'}}}}}\n")
    if path.suffix:
        with pytest.raises(UserError, match=r"mine\.yaml:1:25"):
            load(own)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('servers: {"a\\n": {}}', r"1:11: servers.*'a\\n' is not a DNS label"),
        ('name: "x\\n"\nservers: {a: {}}', r"1:7: name: 'x\\n' is not a DNS label"),
        ('servers: {a: {domain: "x.test\\n"}}', r"1:23: servers.a.domain: 'x.test\\n' is not a domain"),
        ("servers: {a: {domain: localhost}}", r"1:23: .*'localhost' is this machine"),
        ("servers: {a: {domain: a.localhost}}", r"1:23: .*'a.localhost' is this machine"),
        ('servers: {"a\\ud800": {}, b: {}}', r"1:11: .*U\+D800 is half a character"),
        ('teaches: "\\udfff"\nservers: {a: {}}', r"1:10: teaches: U\+DFFF is half a character"),
        ('servers: {a: {}, b: {}}\nlinks: [{between: [a, "b\\n"]}]', r"2:23: .*no server 'b"),
        ('servers: {a: {software: external, address: "127.0.0.1:5269\\n"}}', "is not an IP address and a port"),
    ],
)
def test_line_feeds_and_half_characters_are_errors_at_their_place(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        load(_file(tmp_path, text))
