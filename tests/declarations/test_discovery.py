"""Variants are found because their files are there."""

import sys

import pytest

from lab.declarations.discovery import find_variants
from lab.errors import LabError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of its own, to be filled with modules."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "some_variants"
    folder.mkdir()
    (folder / "__init__.py").touch()
    yield folder
    for name in [name for name in sys.modules if name.startswith("some_variants")]:
        del sys.modules[name]


def test_each_module_is_a_variant_by_its_name(package):
    (package / "two_words.py").write_text("VALUE = 2\n")
    (package / "one.py").write_text("VALUE = 1\n")
    (package / "_helper.py").write_text("")
    assert list(find_variants("some_variants", "VALUE", int).items()) == [("one", 1), ("two-words", 2)]


@pytest.mark.parametrize("text", ["", "VALUE = 'text'\n"])
def test_a_module_that_declares_nothing_is_an_error_that_says_what_it_needs(package, text):
    (package / "empty.py").write_text(text)
    with pytest.raises(LabError) as caught:
        find_variants("some_variants", "VALUE", int)
    assert str(caught.value) == "some_variants.empty declares nothing: add `VALUE`, a int"
