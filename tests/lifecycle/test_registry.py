"""Which lab is meant: one rule for the command line, for loads and for Locust."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lab.errors import UserError
from lab.lifecycle.registry import attach
from lab.plan.layout import Layout
from lab.runtime.lab_record import READY, STARTING, LabRecord, select_record
from lab.system.processes import Identity


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMPPLAB_HOME", str(tmp_path))


def there_is(name: str, *, owned: bool = False, phase: str = READY) -> None:
    layout = Layout.of(name)
    layout.root.mkdir(parents=True)
    LabRecord(name, "pair", "processes", phase, owned, Identity.own(), time.time()).write(layout)


def test_without_a_name_it_is_the_only_one() -> None:
    with pytest.raises(UserError, match="no lab is up; start one with: xmpplab up TOPOLOGY"):
        select_record()
    there_is("one")
    assert select_record().name == "one"
    there_is("two")
    with pytest.raises(UserError, match="several labs are up, name one of: one, two"):
        select_record()


def test_labs_with_an_owner_count_only_where_there_is_no_other() -> None:
    there_is("test", owned=True)
    assert select_record().name == "test"
    there_is("mine")
    assert select_record().name == "mine"
    assert select_record("test").name == "test"


def test_a_name_must_be_a_labs() -> None:
    with pytest.raises(UserError, match="there is no lab other; none is up"):
        select_record("other")
    there_is("one")
    with pytest.raises(UserError, match="there is no lab other; there are one"):
        select_record("other")
    with pytest.raises(UserError, match="cannot be a lab's name"):
        select_record("../one")


def test_where_it_must_be_ready_others_do_not_count() -> None:
    there_is("begun", phase=STARTING)
    assert select_record().name == "begun"
    with pytest.raises(UserError, match="no lab is up"):
        select_record(ready=True)
    there_is("up")
    assert select_record(ready=True).name == "up"
    with pytest.raises(UserError, match="there is no lab begun; there are up"):
        select_record("begun", ready=True)


async def test_a_lab_whose_files_are_gone_is_not_up() -> None:
    there_is("half")
    with pytest.raises(UserError, match=r"the lab half is not up .*files of it are missing.*xmpplab down half"):
        await attach("half")
