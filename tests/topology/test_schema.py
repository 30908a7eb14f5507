"""The schema that editors use is that of the model, and tells good topologies from bad ones."""

import json
from pathlib import Path

import pytest

from lab import packaged
from lab.topology.document import read
from lab.topology.schema import build_schema, faults_schema, render_schema
from tests.topology.mini_schema import valid

COMMITTED = packaged.find_folder("schemas") / "topology.json"
SCHEMA = build_schema()
ERRORS = Path(__file__).parent / "errors"


def test_committed_equals_the_model() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == render_schema(), (
        "run `python -m lab.topology.schema` and commit its result"
    )
    assert json.loads(render_schema()) == SCHEMA
    faults = packaged.find_folder("schemas") / "faults.json"
    assert faults.read_text(encoding="utf-8") == render_schema(faults_schema())


def _plain(file: Path) -> object:
    return read(file.name, file.read_text()).data


@pytest.mark.parametrize("file", sorted(packaged.find_folder("topologies").glob("*.yaml")), ids=lambda file: file.stem)
def test_committed_topologies_are_valid_in_an_editor(file: Path) -> None:
    assert valid(_plain(file), SCHEMA, SCHEMA)


@pytest.mark.parametrize(
    "name", ["keys", "values", "types", "both", "shape_values", "shape_kind", "shape_size", "list"]
)
def test_an_editor_sees_what_is_wrong_with_one_value(name: str) -> None:
    assert not valid(_plain(ERRORS / f"{name}.yaml"), SCHEMA, SCHEMA)


def test_everything_is_described() -> None:
    bare = [
        f"{name}.{key}"
        for name, part in {"": SCHEMA, **SCHEMA["$defs"]}.items()
        for key, field in part.get("properties", {}).items()
        if "description" not in field and key != "kind"
    ]
    assert not bare
