"""The list of planted bugs doesn't rot: each still fits the code, and names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

from tests.mutants.catalogue import MUTATIONS
from tests.mutants.mutation import Mutation, NotThere

ROOT = Path(__file__).resolve().parents[2]
each = pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)


@each
def test_its_old_text_is_in_its_file_once_and_the_new_one_is_python(mutation: Mutation) -> None:
    text = mutation.applied(ROOT)
    assert mutation.old != mutation.new
    if mutation.file.endswith(".py"):
        ast.parse(text)


@each
def test_the_tests_that_catch_it_exist(mutation: Mutation) -> None:
    assert mutation.caught_by
    for test in mutation.caught_by:
        path, *names = test.split("::")
        assert (ROOT / path).exists()
        for name in names:
            assert re.search(rf"^ *(def|class) {name}\b", (ROOT / path).read_text(), re.MULTILINE), test


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 16


def test_a_text_that_is_gone_is_said_by_name() -> None:
    gone = Mutation("a bug", "manage.py", "no such text", "", ("tests",))
    with pytest.raises(NotThere, match="a bug"):
        gone.applied(ROOT)
