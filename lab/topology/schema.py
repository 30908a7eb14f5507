"""The JSON Schemas of topology files and of files of faults, for editors: `python -m lab.topology.schema` writes
schemas/topology.json and schemas/faults.json again.

They are made of the models and say what a single value may be; what concerns several places (a link to a server that is
not there) only `xmpplab validate` can say.
"""

from __future__ import annotations

import json
from typing import Any

from lab import packaged
from lab.topology.faults import definitions
from lab.topology.model import FaultsFile, TopologyFile

TITLE = "A topology of xmpplab"


def build_schema() -> dict[str, Any]:
    """The schema as data."""
    made = _tidy(TopologyFile.model_json_schema())
    # An empty server (`island:`) is one that has only the defaults.
    named = made["properties"]["servers"]
    named["patternProperties"] = {
        pattern: {"anyOf": [server, {"type": "null"}]} for pattern, server in named["patternProperties"].items()
    }
    named["additionalProperties"] = False
    named.pop("propertyNames", None)  # said by the two above, which editors complete from
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_share(made), "title": TITLE}


def faults_schema() -> dict[str, Any]:
    """The schema of a file of faults as data."""
    made = _tidy(FaultsFile.model_json_schema())
    title = "Declared faults of xmpplab"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_share(made), "title": title}


def render_schema(made: dict[str, Any] | None = None) -> str:
    """The schema as it is committed, of topologies unless another one is given."""
    return json.dumps(made or build_schema(), indent=2, ensure_ascii=False) + "\n"


def _share(made: dict[str, Any]) -> dict[str, Any]:
    """The same schema, in which what actions of faults have in common is said once, as `$defs`."""
    shared = definitions()

    def refer(value: Any, itself: str = "") -> Any:
        if isinstance(value, list):
            return [refer(each) for each in value]
        if not isinstance(value, dict):
            return value
        bare = {key: other for key, other in value.items() if key != "description"}
        for name, definition in shared.items():
            if bare == definition and name != itself:
                return {"$ref": f"#/$defs/{name}", **{key: value[key] for key in ("description",) if key in value}}
        return {key: refer(other) for key, other in value.items()}

    own, rest = made.get("$defs", {}), {key: other for key, other in made.items() if key != "$defs"}
    referring = {"$defs": refer(own), **refer(rest)}
    referring["$defs"] |= {name: refer(one, name) for name, one in shared.items()}
    return referring


def _tidy(value: Any) -> Any:
    """Without what serves pydantic and not the reader: null for "not given", titles, defaults that are null."""
    if isinstance(value, list):
        return [_tidy(each) for each in value]
    if not isinstance(value, dict):
        return value
    alternatives = value.get("anyOf")
    if alternatives and {"type": "null"} in alternatives:
        rest = [each for each in alternatives if each != {"type": "null"}]
        value = {key: other for key, other in value.items() if key != "anyOf"}
        value |= rest[0] if len(rest) == 1 else {"anyOf": rest}
    kept = {key: other for key, other in value.items() if not (key == "default" and other is None)}
    if isinstance(kept.get("title"), str):
        del kept["title"]
    if isinstance(kept.get("description"), str):
        kept["description"] = " ".join(kept["description"].split())
    return {key: _tidy(other) for key, other in kept.items()}


if __name__ == "__main__":
    (packaged.find_folder("schemas") / "topology.json").write_text(render_schema(), encoding="utf-8")
    (packaged.find_folder("schemas") / "faults.json").write_text(render_schema(faults_schema()), encoding="utf-8")
