"""SMS segments: 160 and 153 units of GSM-7, 70 and 67 of UCS-2, and no letter torn apart."""

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from followups.segments import GSM_BASIC, GSM_EXTENDED, Culprit, Segments, count_segments, find_culprit

FAMILY = "👩‍👩‍👧‍👦"  # eleven units
LETTERS = ["a", "€", "[", "வ", "ணி", "கொ", "👍🏽", "🇮🇳", FAMILY, "e\u0301", "\n", "\r\n", " "]


@pytest.mark.parametrize(
    ("text", "encoding", "units", "count"),
    [
        ("", "GSM-7", 0, 0),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("a" * 459, "GSM-7", 459, 3),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("த" * 70, "UCS-2", 70, 1),
        ("த" * 71, "UCS-2", 71, 2),
        ("த" * 134, "UCS-2", 134, 2),
        ("த" * 135, "UCS-2", 135, 3),
        ("😀" * 35, "UCS-2", 70, 1),
        ("😀" * 36, "UCS-2", 72, 2),
    ],
    ids=lambda value: value[:1] if isinstance(value, str) else value,
)
def test_the_boundaries_are_those_of_the_standard(text: str, encoding: str, units: int, count: int) -> None:
    cost = count_segments(text)
    assert (cost.encoding, cost.units, cost.count) == (encoding, units, count)


@pytest.mark.parametrize("character", sorted(GSM_EXTENDED))
def test_an_extension_character_takes_two_units(character: str) -> None:
    assert count_segments("a" * 158 + character) == Segments("GSM-7", 160, 1)
    assert count_segments("a" * 159 + character) == Segments("GSM-7", 161, 2)


def test_an_extension_character_is_not_split_over_two_segments() -> None:
    assert count_segments("a" * 151 + "€" + "a" * 153).count == 2
    assert count_segments("a" * 152 + "€" + "a" * 152).count == 3  # one unit of the first stays empty


def test_a_grapheme_is_not_split_over_two_segments() -> None:
    assert count_segments("த" * 56 + FAMILY + "த" * 67).count == 2
    assert count_segments("த" * 57 + FAMILY + "த" * 66).count == 3
    assert count_segments("த" * 66 + "கொ" + "த" * 66).count == 3


def test_a_grapheme_longer_than_a_segment_is_counted_all_the_same() -> None:
    assert count_segments("த" + "\u0301" * 200).count == 3
    assert count_segments("த" + "த" + "\u0301" * 200).count == 4
    assert count_segments("த" + "\u0301" * 199 + "த").count == 3
    assert count_segments("த" + "\u0301" * 200 + "த").count == 4
    assert count_segments("த" * 67 + "த" + "\u0301" * 66).count == 2


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("Namaste 🙏 friend", "🙏"),
        ("it’s", "’"),
        ("Dear லட்சுமி", "ல"),
        ("plain €uro [ok]", ""),
        ("a\u00a0b", "\u00a0"),
    ],
)
def test_the_first_expensive_character_is_named(text: str, culprit: str) -> None:
    assert count_segments(text).culprit == culprit


def test_the_expensive_character_is_found_where_it_stands() -> None:
    assert find_culprit("plain €uro [ok]") is None
    assert find_culprit("Dear all,\n\n🇮🇳 it’s " + "a" * 150) == Culprit(
        character="🇮",
        name="regional indicator symbol letter i",
        line=3,
        place=1,
        others=("🇳", "’"),
        count_without=2,
    )
    found = find_culprit("Hello it’s you")
    assert found is not None
    assert (found.character, found.name, found.line, found.place) == (
        "’",
        "right single quotation mark",
        1,
        9,
    )
    assert find_culprit("👍🏽 a") == Culprit("👍", "thumbs up sign", 1, 1, ("🏽",), 1)
    inside = find_culprit("aé e\u0301")  # a mark on a letter that is plain without it
    assert inside is not None
    assert (inside.character, inside.place) == ("\u0301", 4)


def test_one_emoji_makes_one_segment_three() -> None:
    assert count_segments("a" * 150).count == 1
    assert count_segments("a" * 150 + "🙏") == Segments("UCS-2", 152, 3, "🙏")


def test_the_alphabet_is_that_of_the_standard() -> None:
    assert len(GSM_BASIC) == 127  # 128 less the escape
    assert len(GSM_EXTENDED) == 10
    assert not GSM_BASIC & GSM_EXTENDED


def packed(text: str) -> list[list[str]]:
    """The segments themselves, filled letter by letter: slow and plain."""
    is_gsm = set(text) <= GSM_BASIC | GSM_EXTENDED
    letters = list(text) if is_gsm else regex.findall(r"\X", text)

    def size(letter: str) -> int:
        return 1 + (letter in GSM_EXTENDED) if is_gsm else len(letter.encode("utf-16-le")) // 2

    if sum(map(size, letters)) <= (160 if is_gsm else 70):
        return [letters] if letters else []
    segments: list[list[str]] = [[]]
    for letter in letters:
        if sum(map(size, segments[-1])) + size(letter) > (153 if is_gsm else 67):
            segments.append([])
        segments[-1].append(letter)
    return segments


@given(st.one_of(st.lists(st.sampled_from(LETTERS), max_size=250).map("".join), st.text(max_size=250)))
def test_the_count_is_that_of_filling_segments_letter_by_letter(text: str) -> None:
    cost = count_segments(text)
    assert cost.count == len(packed(text))
    assert cost.encoding == ("UCS-2" if cost.culprit else "GSM-7")


@given(st.text(max_size=200), st.sampled_from(LETTERS))
def test_more_text_never_costs_less(text: str, letter: str) -> None:
    assert count_segments(text + letter).count >= count_segments(text).count
