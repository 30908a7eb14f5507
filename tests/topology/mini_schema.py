"""As much of JSON Schema as the schema of topologies uses; an unknown keyword is an error, never ignored."""

import re
from typing import Any

_KINDS = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}
_NOTES = {"$schema", "$defs", "title", "description", "examples", "default", "discriminator"}


def valid(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """True if the value keeps to the schema."""
    return all(
        _keeps(keyword, wanted, value, schema, root) for keyword, wanted in schema.items() if keyword not in _NOTES
    )


def _keeps(keyword: str, wanted: Any, value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    match keyword:
        case "$ref":
            return valid(value, root["$defs"][wanted.rpartition("/")[2]], root)
        case "anyOf":
            return any(valid(value, each, root) for each in wanted)
        case "oneOf":
            return sum(valid(value, each, root) for each in wanted) == 1
        case "type":
            return isinstance(value, _KINDS[wanted]) and (wanted == "boolean" or not isinstance(value, bool))
        case "enum":
            return value in wanted
        case "const":
            return value == wanted and type(value) is type(wanted)
        case "pattern":
            return not isinstance(value, str) or bool(re.search(wanted, value))
        case "minimum" | "maximum":
            return not isinstance(value, int | float) or (value >= wanted if keyword == "minimum" else value <= wanted)
        case "minItems" | "minProperties" | "minLength":
            return len(value) >= wanted
        case "maxItems" | "maxProperties":
            return len(value) <= wanted
        case "items":
            return not isinstance(value, list) or all(valid(each, wanted, root) for each in value)
        case "required":
            return not isinstance(value, dict) or set(wanted) <= value.keys()
        case "properties":
            return not isinstance(value, dict) or all(
                valid(value[key], each, root) for key, each in wanted.items() if key in value
            )
        case "patternProperties":
            return all(
                valid(each, one, root)
                for key, each in value.items()
                for name, one in wanted.items()
                if re.search(name, key)
            )
        case "additionalProperties":
            known = schema.get("properties", {}).keys()
            patterns = schema.get("patternProperties", {})
            assert wanted is False
            return not isinstance(value, dict) or all(
                key in known or any(re.search(p, key) for p in patterns) for key in value
            )
    raise AssertionError(f"the schema uses {keyword}, which this test does not know")
