"""What changed between two texts, so that somebody can read it."""

import time

from hypothesis import given
from hypothesis import strategies as st

from followups.differences import Change, Line, Part, differences

SAME, ADDED, REMOVED = Change.SAME, Change.ADDED, Change.REMOVED


def parts(old: str, new: str) -> list[tuple[str, str]]:
    return [(part.change.value, part.text) for line in differences(old, new) for part in line.parts]


def test_a_word_that_changed_is_one_word_in_its_line() -> None:
    (line,) = differences("Dear {{user_name}}, thank you.", "Dear {{user_name}}, many thanks.")
    assert line.parts == [
        Part(SAME, "Dear {{user_name}}, "),
        Part(REMOVED, "thank"),
        Part(ADDED, "many"),
        Part(SAME, " "),
        Part(REMOVED, "you"),
        Part(ADDED, "thanks"),
        Part(SAME, "."),
    ]
    assert line.is_changed


def test_a_tamil_word_is_never_torn() -> None:
    assert parts("உங்கள் பயணம் நன்று", "உங்கள் பயணத்தில் நன்று") == [
        ("same", "உங்கள் "),
        ("removed", "பயணம்"),
        ("added", "பயணத்தில்"),
        ("same", " நன்று"),
    ]


def test_lines_that_came_and_went_are_lines_of_their_own() -> None:
    assert differences("one\ntwo\nthree", "one\nthree\nfour") == [
        Line([Part(SAME, "one")]),
        Line([Part(REMOVED, "two")]),
        Line([Part(SAME, "three")]),
        Line([Part(ADDED, "four")]),
    ]
    assert parts("", "new") == [("added", "new")]
    assert not any(line.is_changed for line in differences("a\n\nb", "a\n\nb"))


pieces = st.lists(
    st.sampled_from(["அன்பு", "dear", " ", "\n", "{{user_name}}", ".", "🙏", "e\u0301"]), max_size=40
)


@given(pieces.map("".join), pieces.map("".join))
def test_both_texts_can_be_read_from_it(old: str, new: str) -> None:
    def text(*changes: Change) -> str:
        return "".join(
            part.text for line in differences(old, new) for part in line.parts if part.change in changes
        )

    assert text(SAME, REMOVED) == old.replace("\n", "")
    assert text(SAME, ADDED) == new.replace("\n", "")


def test_the_longest_texts_take_no_time_that_is_felt() -> None:
    began = time.process_time()
    differences("word and " * 2_200, "and word " * 2_200)
    differences("x" * 20_000, "y" * 20_000)
    differences(
        "\n".join("ab"[n % 2] for n in range(10_000)), "\n".join("ba"[n % 3 % 2] for n in range(10_000))
    )
    assert time.process_time() - began < 3
