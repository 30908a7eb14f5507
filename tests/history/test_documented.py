from dataclasses import fields
from pathlib import Path

from lab.history.events import KINDS

PAGE = Path(__file__).parents[2] / "docs/history.md"


def test_every_event_and_field_is_documented():
    page = PAGE.read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("| `")}
    missing = [
        f"docs/history.md: {name}: {field.name}"
        for name, kind in KINDS.items()
        for field in fields(kind)
        if f"`{name}`" not in rows or (field.name != "at" and f"`{field.name}`" not in rows[f"`{name}`"])
    ]
    assert not missing, "\n".join(missing)
