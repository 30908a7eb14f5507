"""Golden files: what is made must be what was made before, or the difference is meant and seen in the change."""

import os
from pathlib import Path


def same(text: str, file: Path) -> None:
    """Compare with a golden file; with XMPPLAB_GOLDEN=write it is written instead."""
    if os.environ.get("XMPPLAB_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    expected = file.read_text(encoding="utf-8") if file.is_file() else ""
    assert text == expected, f"{file} differs: if that is meant, run again with XMPPLAB_GOLDEN=write"
