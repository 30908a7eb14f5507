"""A lab's name is part of a path that is deleted: nothing but a plain name may get there."""

from pathlib import Path

import pytest

from lab.errors import UserError
from lab.lifecycle.down import down
from lab.lifecycle.registry import attach
from lab.lifecycle.up import up
from lab.network import lab_folder
from lab.plan.layout import Layout
from lab.topology.files import load

NAMES = ["..", "../..", "../../x", "a/b", "/", ".", "", "A", "-a", "a-", "a" * 41, "a\n"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with neighbours that a path could lead to."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "home" / "labs").mkdir(parents=True)
    monkeypatch.setenv("XMPPLAB_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
async def test_no_verb_takes_a_path_for_a_name(name: str, elsewhere: Path) -> None:
    before = sorted(elsewhere.rglob("*"))
    for verb in (down(name), attach(name), up(load("pair"), runtime="processes", name=name)):
        with pytest.raises(UserError, match="cannot be a lab's name"):
            await verb
    assert sorted(elsewhere.rglob("*")) == before


@pytest.mark.parametrize("path", ["precious", "home", "home/labs"])
def test_only_a_labs_folder_is_ever_emptied(path: str, elsewhere: Path) -> None:
    with pytest.raises(UserError, match="no lab's folder"):
        lab_folder.remove(Layout(elsewhere / path))
    assert (elsewhere / path).is_dir()
