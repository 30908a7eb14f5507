"""What people remember: the texts of errors. Each errors/X.yaml has the text it gives in errors/X.txt."""

from pathlib import Path

import pytest

from lab.errors import UserError
from lab.topology.files import load
from lab.topology.shapes_drawn import SmallWorld
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
    "hiden-island",
    "nobody-knows-this",
    "",
]


@pytest.mark.parametrize("file", sorted(ERRORS.glob("*.yaml")), ids=lambda file: file.stem)
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
