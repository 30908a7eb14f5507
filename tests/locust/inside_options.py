"""What load a Locust process carries, from file, options and job. Runs inside, see test_inside.py."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest
from locust import User, constant, task
from locust.argument_parser import get_parser

from lab.errors import UserError
from lab.load.model.job import VARIABLE
from lab.locust import XmppUser
from lab.locust.load_job import check_attributes, find_class_with_traffic, make_job
from lab.locust.options import select_lab


class Chat(XmppUser):
    traffic = "local"
    arrivals = "poisson:10/s"
    body = 100


class Own(XmppUser):
    @task
    def nothing(self) -> None:
        pass


def given(**said: object) -> Namespace:
    return Namespace(**{"run_time": None, "spawn_rate": None, "lab": "mine", **said})


@pytest.fixture(autouse=True)
def nothing_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_the_file_says_what_no_option_does() -> None:
    found = make_job(Chat, given(run_time=20, spawn_rate=50.0), 30)
    assert found.lab == "mine" and found.workers == 1
    assert found.load == {
        "users": 30,
        "traffic": "local",
        "arrivals": "poisson:10/s",
        "seconds": 20.0,
        "login_rate": 50.0,
        "body": 100,
    }


def test_options_come_before_the_file() -> None:
    found = make_job(Chat, given(arrivals="step:1/s+1/s,each=2s", body=10, warmup=0.0, seed=3, generators=2), 4)
    assert found.workers == 2
    said = {name: found.load[name] for name in ("arrivals", "body", "warmup", "seed")}
    assert said == {"arrivals": "step:1/s+1/s,each=2s", "body": 10, "warmup": 0.0, "seed": 3}


def test_fields_of_the_page_are_text_and_may_be_empty() -> None:
    found = make_job(Chat, given(arrivals="", body="12", warmup="0.5"), 4)
    assert (found.load["arrivals"], found.load["body"], found.load["warmup"]) == ("poisson:10/s", 12, 0.5)
    with pytest.raises(UserError, match="'many' is no number"):
        make_job(Chat, given(body="many"), 4)


@pytest.mark.parametrize(
    ("of_file", "expected"), [("poisson:10/s", "poisson:99/s"), ("10/s", "constant:99/s"), (None, "constant:99/s")]
)
def test_a_rate_keeps_the_files_model(of_file: str | None, expected: str) -> None:
    class Other(XmppUser):
        traffic, arrivals = "local", of_file

    assert make_job(Other, given(rate="99/s"), 4).load["arrivals"] == expected


def test_a_rate_is_no_ramp() -> None:
    class Ramp(XmppUser):
        traffic, arrivals = "local", "ramp:1/s..9/s,over=9s"

    with pytest.raises(UserError, match="more than a rate: use --arrivals"):
        make_job(Ramp, given(rate="99/s"), 4)
    with pytest.raises(UserError, match="give one of them"):
        make_job(Chat, given(rate="99/s", arrivals="9/s"), 4)


def test_a_job_that_was_handed_on_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "load.json"
    data = {"lab": "theirs", "load": {"users": 7, "arrivals": "1/s"}, "workers": 3, "folder": str(tmp_path)}
    file.write_text(json.dumps(data))
    monkeypatch.setenv(VARIABLE, str(file))
    found = make_job(Chat, given(arrivals="50/s", run_time=9), 30)
    assert (found.lab, found.workers, found.folder) == ("theirs", 3, tmp_path)
    assert (found.load["users"], found.load["arrivals"], found.load["traffic"]) == (7, "1/s", "local")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="must name a job"):
        make_job(Chat, given(), 1)


def test_without_a_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMPPLAB_HOME", str(tmp_path))
    with pytest.raises(UserError, match="no lab is up"):
        make_job(Chat, given(lab=None), 1)
    with pytest.raises(UserError, match="there is no lab mine"):
        select_lab(given())


def test_one_class_has_the_traffic() -> None:
    class Plain(User):
        pass

    class Second(XmppUser):
        traffic = "local"

    class Fixed(XmppUser):
        traffic, fixed_count = "local", 5

    assert find_class_with_traffic([Chat]) is Chat
    assert find_class_with_traffic([Own, Plain]) is None
    assert find_class_with_traffic([Own, Fixed]) is Fixed
    assert make_job(Fixed, given(), 30).load["users"] == 5
    with pytest.raises(UserError, match="here are Chat, Second"):
        find_class_with_traffic([Chat, Second])
    with pytest.raises(UserError, match="fixed_count"):
        find_class_with_traffic([Chat, Own])


def test_traffic_and_tasks_do_not_go_together() -> None:
    class Both(XmppUser):
        traffic = "local"

        @task
        def more(self) -> None:
            pass

    with pytest.raises(UserError, match="a separate class"):
        find_class_with_traffic([Both])


def parsed(*words: str) -> Namespace:
    return get_parser(default_config_files=[]).parse_args(list(words))


def test_nobody_elses_machine_is_listened_to() -> None:
    found = parsed()
    assert (found.web_host, found.master_bind_host) == ("127.0.0.1", "127.0.0.1")


def test_unless_somebody_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    found = parsed("--web-host", "0.0.0.0", "--master-bind-host", "*")
    assert (found.web_host, found.master_bind_host) == ("0.0.0.0", "*")
    monkeypatch.setenv("LOCUST_WEB_HOST", "*")
    assert parsed().web_host == "*"


def test_options_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCUST_LAB", "theirs")
    monkeypatch.setenv("LOCUST_BODY", "12")
    found = parsed()
    assert (found.lab, found.body) == ("theirs", 12)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"trafic": "local"}, "Slip has no attribute 'trafic': did you mean 'traffic'"),
        ({"traffic": "local", "arival": "1/s"}, "did you mean 'arrivals'"),
        ({"traffic": "local", "rate": "1/s"}, "has no attribute 'rate': there are traffic, arrivals"),
        ({}, "Slip has nothing to do: set its traffic"),
    ],
)
def test_a_slip_in_a_name_is_said(attributes: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        check_attributes(type("Slip", (XmppUser,), attributes))


def test_tasks_may_have_names_of_their_own() -> None:
    class Mine(Own):
        wait_time = constant(1)
        words = ("one", "two")

    check_attributes(Mine)
    check_attributes(Chat)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("body", "x", "body of a load must be int"), ("generators", "2", "generators of Slip must be int")],
)
def test_an_attribute_of_the_wrong_kind_is_said(name: str, value: object, says: str) -> None:
    slip = type("Slip", (XmppUser,), {"traffic": "local", name: value})
    with pytest.raises(UserError, match=says):
        make_job(slip, given(), 4)
