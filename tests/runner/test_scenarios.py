import sys

import pytest

from lab import errors, packaged
from lab.runner import load, scenario
from lab.runner.scenarios import get_info

STORY = '''\
from lab import scenario, expect
from beside import WORD

@scenario(spec="XEP-0384", expects={"secrecy": "failed"})
async def second_story(federation):
    """One sentence.

    More of it.
    """
    assert WORD

async def helper(federation):
    """Not a story."""

@scenario(title="A title of its own")
async def another_story(federation):
    pass
'''


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])

    def write(text, name="story.py"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_a_file_beside_a_scenario_replaces_no_module_of_python(write):
    write("raise RuntimeError('not given to anybody')", "wave.py")  # a module that nothing here has imported yet
    sys.modules.pop("wave", None)
    load(write(STORY.replace("from beside import WORD", "import wave").replace("assert WORD", "assert wave.open")))
    assert "WAVE_FORMAT_PCM" in vars(sys.modules.pop("wave"))


def test_a_file_gives_its_scenarios_in_order(write):
    write("WORD = 1", "beside.py")
    first, second = load(write(STORY))
    assert (first.name, first.title, first.spec) == ("second_story", "One sentence.", "XEP-0384")
    assert first.expects == (("secrecy", "failed"),)
    assert (second.name, second.title, second.expects) == ("another_story", "A title of its own", ())
    assert first.line == 4
    assert get_info(first.function) is first


def test_shipped_scenarios_say_which_libraries_they_need():
    """So that nothing is started where one is missing."""
    for name in packaged.list_names("scenarios", ".py"):
        (info,) = load(name)
        assert ("otr" in info.encryptions) == ('"otr"' in info.file.read_text(encoding="utf-8")), name


@pytest.mark.parametrize(
    ("wrong", "says"), [("otr", r"give a list, \['otr'\]"), (["ort"], "encryption 'ort' is unknown")]
)
def test_encryptions_are_a_list_of_known_ones(wrong, says):
    with pytest.raises(errors.UserError, match=says):
        scenario(encryptions=wrong)


def test_one_scenario_of_a_file_is_named_behind_it(write):
    write("WORD = 1", "beside.py")
    path = write(STORY)
    assert [info.name for info in load(f"{path}::another_story")] == ["another_story"]
    for name in ("other", ""):
        with pytest.raises(errors.UserError, match=f"no scenario '{name}' in here: there are: second_story, another_s"):
            load(f"{path}::{name}")


def test_the_function_stays_what_it_was():
    async def story(federation):
        return None

    assert scenario()(story) is story


def test_scenarios_of_the_lab_are_found_by_name(monkeypatch, tmp_path):
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "tiny_story.py").write_text(
        "from lab import scenario\n@scenario()\nasync def tiny_story(federation): pass\n"
    )
    monkeypatch.setattr(packaged, "find_folder", lambda name: tmp_path / name)
    assert [info.name for info in load("tiny_story")] == ["tiny_story"]
    assert [info.name for info in load("tiny-story")] == ["tiny_story"]
    with pytest.raises(errors.UserError, match="no scenario 'tiny_stroy': did you mean 'tiny_story'"):
        load("tiny_stroy")
    with pytest.raises(errors.UserError, match="there are: tiny_story"):
        load("zzz")


MADE = """\
from lab import scenario

def make(n):
    async def story(federation):
        pass
    story.__name__ = f"story_{n}"
    return scenario(spec="RFC 6120")(story)
"""


@pytest.mark.parametrize(
    "kept",
    [
        "one, two, three = make(1), make(2), make(3)",
        "for n in (1, 2, 3): last = make(n)",
        "x = [*map(make, (1, 2, 3))]",
    ],
)
def test_scenarios_made_in_a_loop_are_all_found(kept, write):
    assert [info.name for info in load(write(f"{MADE}\n{kept}\n"))] == ["story_1", "story_2", "story_3"]
    write(MADE, "factory_of_stories.py")
    other = write(f"from factory_of_stories import make\n{kept}\n", "others.py")
    assert [info.name for info in load(other)] == ["story_1", "story_2", "story_3"]
    assert [info.name for info in load(other)] == ["story_1", "story_2", "story_3"], "a file loaded twice"


def test_a_scenario_imported_from_another_file_stays_that_files(write):
    write(f"{MADE}\none = make(1)\n", "first_stories.py")
    assert [info.name for info in load(write("from first_stories import one, make\ntwo = make(2)\n"))] == ["story_2"]


def test_the_decorator_needs_no_parentheses(write):
    (info,) = load(write("from lab import scenario\n@scenario\nasync def bare(federation):\n    'A title.'\n"))
    assert (info.name, info.title, info.line) == ("bare", "A title.", 2)


BAD = {
    "same-name": (
        "from lab import scenario\nfor n in (1, 2):\n  @scenario()\n  async def f(x): pass\n",
        ":3: a second scenario 'f' (the first is in line 3): they cannot be told apart",
    ),
    "text-for-function": (
        "from lab import scenario\n@scenario('RFC 6120')\nasync def f(x): pass\n",
        ":2: scenario('RFC 6120'): write `@scenario`, or `@scenario(spec='RFC 6120')`",
    ),
    "no-name": (
        "from functools import partial\nfrom lab import scenario\nasync def f(n, x): pass\nscenario()(partial(f, 1))\n",
        ":4: scenario functools.partial(",
    ),
    "syntax": ("x = 1\ndef broken(:\n", ":2:12: "),
    "raises": ("import os\n\nos.no_such_thing\n", ":3: AttributeError: "),
    "raises-inside": ("def f():\n    return 1 / 0\n\nf()\n", ":2: ZeroDivisionError: "),
    "missing-import": ("import no_such_module_anywhere\n", ":1: ModuleNotFoundError: "),
    "leaves": ("import sys\nsys.exit(1)\n", ":2: SystemExit: 1"),
    "nothing": ("x = 1\n", ":1: no scenario in here"),
    "not-async": (
        "from lab import scenario\n@scenario()\ndef f(federation): pass\n",
        ":2: scenario f: write `async def",
    ),
    "no-argument": (
        "from lab import scenario\n@scenario()\nasync def f(): pass\n",
        ":2: scenario f: it takes one argument",
    ),
    "bad-value": (
        "from lab import scenario\n@scenario(expects={'delivery': 'no'})\nasync def f(x): pass\n",
        ":2: expects={'delivery': 'no'}: choose one of",
    ),
    "bad-check": (
        "from lab import scenario\n@scenario(expects={'secretcy': 'failed'})\nasync def f(x): pass\n",
        ":2: expects={'secretcy': …}: the checks are delivery, ",
    ),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_file_says_where_and_what(name, write):
    text, said = BAD[name]
    path = write(text)
    with pytest.raises(errors.UserError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}{said}"), str(caught.value)


def test_no_file_says_so(tmp_path):
    with pytest.raises(errors.UserError, match="there is no such file"):
        load(tmp_path / "none.py")
