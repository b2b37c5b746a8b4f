"""What is imported while something else goes on."""

import sys

import pytest

from marvel_assets.utils.background_imports import imported_meanwhile


def test_a_module_is_there_when_the_block_ends(monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.delitem(sys.modules, "this", raising=False)

    # when
    with imported_meanwhile("this"):
        pass

    # then
    assert "this" in sys.modules


def test_what_the_block_imports_itself_is_there_when_it_begins(monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.delitem(sys.modules, "this", raising=False)

    # then
    with imported_meanwhile(after=("this",)):
        assert "this" in sys.modules


def test_a_module_that_can_not_be_imported_ends_nothing():
    with imported_meanwhile("marvel_assets.no_such_module"):
        pass


def test_an_error_of_the_block_is_its_own():
    with pytest.raises(KeyError), imported_meanwhile("this"):
        raise KeyError
