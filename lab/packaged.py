"""The version, and where the files that ship with the package lie: topologies, scenarios, load tests, images, schemas.

In a checkout they are folders beside `lab/`; in an installed wheel the build has put them into `lab/data/`.
"""

from __future__ import annotations

from pathlib import Path

from lab.errors import MissingError

VERSION = "0.1.0"  # as pyproject.toml says

#: The folder `lab/`.
PACKAGE = Path(__file__).resolve().parent


def find_folder(name: str) -> Path:
    """The folder of that name: "topologies", "scenarios", "loadtests", "images", "schemas".

    Raises MissingError if the installation has none.
    """
    installed, checkout = PACKAGE / "data" / name, PACKAGE.parent / name
    if installed.is_dir():
        return installed
    if (PACKAGE.parent / "pyproject.toml").is_file() and checkout.is_dir():
        return checkout
    raise MissingError(f"the folder '{name}' of xmpplab is missing at {installed}: install xmpplab again")


def find(kind: str, name: str, suffix: str) -> Path | None:
    """The file of that name in the folder `kind`; `-` and `_` are the same, None if there is none."""
    wanted = find_folder(kind) / f"{name.replace('-', '_')}{suffix}"
    return wanted if wanted.is_file() else None


def list_names(kind: str, suffix: str) -> tuple[str, ...]:
    """Names of all files in the folder `kind` with that suffix, with hyphens as on the command line."""
    return tuple(sorted(path.stem.replace("_", "-") for path in find_folder(kind).glob(f"[a-z]*{suffix}")))
