"""Rendering: one pass, nothing expanded twice, nothing unescaped, nothing cut inside a letter."""

import html
import re
import unicodedata

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from followups.rendering import (
    FALLBACKS,
    STANDARD_VARIABLES,
    Hole,
    TemplateSyntaxError,
    clean,
    fill_subject,
    is_storable,
    one_line,
    parse,
    render_html,
    render_text,
    truncate,
    variables_in,
    whatsapp_variables,
)

FAMILY = "👩‍👩‍👧‍👦"  # one grapheme, seven code points, eleven UTF-16 units
SNIPPETS = ["{{", "}}", "{{x}}", "{{user_email}}", "{", "}", "**", "<b>", "&amp;", "\r\n", "\x0b", "\u2028"]
values = st.lists(st.one_of(st.text(max_size=12), st.sampled_from(SNIPPETS)), max_size=6).map("".join)
LETTERS = ["வ", "ணக்", "கம்", "ஸ்ரீ", "கொ", FAMILY, "🇮🇳", "👍🏽", "🕉️", "e\u0301", "a", " ", "\n", "\r\n"]
scripts = st.lists(st.sampled_from(LETTERS), max_size=30).map("".join)


def shown(value: str) -> str:
    return clean(value).strip()


def can_be_seen(value: str) -> bool:
    return bool(
        regex.search(r"[\p{L}\p{N}\p{P}\p{S}--\p{Default_Ignorable_Code_Point}]", shown(value), regex.V1)
    )


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def test_the_seeds_example_reads_well_in_both_languages() -> None:
    english = "Dear {{user_name}}, Thank you for your recent spiritual consultation..."
    tamil = "அன்புள்ள {{user_name}}, உங்கள் சமீபத்திய ஆன்மீக ஆலோசனைக்கு நன்றி..."
    assert render_text(english, {"user_name": "Lakshmi"}, "en").startswith("Dear Lakshmi, Thank you")
    assert render_text(tamil, {"user_name": "லட்சுமி"}, "ta").startswith("அன்புள்ள லட்சுமி, உங்கள்")


@pytest.mark.parametrize("text", ["{{name}}", "{{ name }}", "{{\tname\n}}", "{{name}}{{name}}"])
def test_a_variable_may_have_space_around_its_name(text: str) -> None:
    assert variables_in(text) == ["name"]
    assert set(render_text(text, {"name": "Devi"}, "en").replace("Devi", "")) == set()


@pytest.mark.parametrize(
    "text",
    [
        "{{}}",
        "{{ }}",
        "{{Name}}",
        "{{1st}}",
        "{{a b}}",
        "{{a.b}}",
        "{{a|upper}}",
        "{{{name}}}",
        "{{ {{name}} }}",
    ]
    + ["{{" + "n" * 51 + "}}", "{{name", "name}}", "{{a}} {{", "}} {{a}}", "{{பெயர்}}", "{{name}"],
)
def test_braces_that_form_no_variable_are_refused(text: str) -> None:
    with pytest.raises(TemplateSyntaxError):
        parse(text)


@pytest.mark.parametrize(
    "text", ["{name}", "{ {name} }", "100 {%", "{% include 'x' %}", "{{a}}}", "$name %(name)s"]
)
def test_other_braces_are_plain_text(text: str) -> None:
    assert render_text(text, {"name": "no", "a": "{"}, "en") == text.replace("{{a}}", "{")


def test_pathological_braces_are_refused_quickly() -> None:
    for text in ("{{" * 10_000, "}}" * 10_000, "{{a" * 6_000, "{{" + "a" * 19_000):
        with pytest.raises(TemplateSyntaxError):
            parse(text)


@given(
    st.lists(
        st.one_of(st.text(st.characters(exclude_characters="{}")), st.sampled_from(["a", "b_1"]).map(Hole))
    )
)
def test_what_is_parsed_can_be_put_together_again(parts: list[str | Hole]) -> None:
    text = "".join(part if isinstance(part, str) else f"{{{{{part.name}}}}}" for part in parts)
    again = "".join(part if isinstance(part, str) else f"{{{{{part.name}}}}}" for part in parse(text))
    assert again == text
    assert variables_in(text) == list(dict.fromkeys(part.name for part in parts if isinstance(part, Hole)))


@given(values)
@example("{{user_email}}")
@example("{{x}}{{x}}")
def test_a_value_is_printed_and_never_expanded(value: str) -> None:
    given_values = {"x": value, "user_email": "secret@example.test"}
    rendered = render_text("A {{x}} Z", given_values, "en")
    assert "secret@example.test" not in rendered
    if can_be_seen(value):
        assert rendered == f"A {shown(value)} Z"


@given(values)
@example("<script>alert(1)</script>")
@example('" onload="x')
@example("*{{x}}* **bold** &lt;")
def test_a_value_is_escaped_in_html(value: str) -> None:
    page = render_html("A {{x}} Z", {"x": value}, "en")
    bare = re.sub(r"</p>\n<p>", "\n\n", page).replace("<br>", "\n").removeprefix("<p>").removesuffix("</p>")
    assert "<" not in bare
    assert ">" not in bare
    if can_be_seen(value):
        told = html.unescape(bare).split()
        assert told == ["A", *shown(value).split(), "Z"]


@given(values, values)
def test_a_subject_is_one_line_whatever_the_values_hold(first: str, second: str) -> None:
    subject = fill_subject("{{a}}\r\nBcc: {{b}}", {"a": first, "b": second})
    assert len(subject.splitlines()) == 1
    assert not {"\r", "\n", "\x00"} & set(subject)


def test_a_header_can_not_be_added() -> None:
    name = "Devi\r\nBcc: all@example.test"
    assert fill_subject("Namaste {{user_name}}", {"user_name": name}) == "Namaste Devi Bcc: all@example.test"


@pytest.mark.parametrize("language", ["en", "ta"])
@pytest.mark.parametrize(
    "nothing", [None, "", "  ", "\n\t", "\x07", "\u200b\u2060", "\u200d", "\u3164", "\u0301"]
)
def test_a_value_with_nothing_to_see_gets_the_languages_fallback(language: str, nothing: str | None) -> None:
    given_values = {} if nothing is None else dict.fromkeys(STANDARD_VARIABLES, nothing)
    for name in STANDARD_VARIABLES:
        text = render_text(f"«{{{{{name}}}}}»", given_values, language)
        assert text == f"«{FALLBACKS[language][name]}»"
    assert render_text("{{coupon}}", {}, language) == "—"


def test_tamil_falls_back_to_tamil_words() -> None:
    assert render_text("வணக்கம் {{user_name}},", {}, "ta") == "வணக்கம் நண்பரே,"


def test_emphasis_of_the_template_is_strong_and_a_values_stars_stay() -> None:
    text = "**Dear {{name}}**, 2 * 3\nnext\n\nnew & <old>"
    assert render_html(text, {"name": "**A*"}, "en") == (
        "<p><strong>Dear &#42;&#42;A&#42;</strong>, 2 * 3<br>next</p>\n<p>new &amp; &lt;old&gt;</p>"
    )
    assert render_text(text, {"name": "**A*"}, "en") == "Dear **A*, 2 * 3\nnext\n\nnew & <old>"


def test_no_mark_is_left_where_a_value_has_several_lines() -> None:
    assert render_html("**{{tip}}**", {"tip": "one\ntwo"}, "en") == "<p>one<br>two</p>"
    assert render_text("**{{tip}}**", {"tip": "one\ntwo"}, "en") == "one\ntwo"


@given(st.text())
@example("e\x01\u0301")
@example("க\u0bc6\x00\u0bbe")
def test_clean_text_is_composed_and_without_controls(text: str) -> None:
    cleaned = clean(text)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not [c for c in cleaned if unicodedata.category(c) == "Cc" and c not in "\n\t"]
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize(("text", "storable"), [("வணக்கம் 🕉️", True), ("a\x00", False), ("\ud83d", False)])
def test_what_postgresql_can_not_take_is_not_storable(text: str, storable: bool) -> None:
    assert is_storable(text) is storable


@pytest.mark.parametrize(
    ("text", "limit", "cut"),
    [
        ("நமஸ்காரம்", 6, "நமஸ்…"),
        ("கொகொகொ", 4, "கொ…"),
        (FAMILY * 2, 21, FAMILY + "…"),
        (FAMILY, 10, "…"),
        ("🇮🇳🇮🇳", 7, "🇮🇳…"),
        ("e\u0301" * 4, 4, "e\u0301…"),
        ("one two three", 5, "one…"),
        ("exact", 5, "exact"),
        ("ab", 1, "…"),
        ("a" + "\u0301" * 5_000, 1_600, "…"),
    ],
)
def test_a_cut_falls_between_letters(text: str, limit: int, cut: str) -> None:
    assert truncate(text, limit) == cut


@given(st.one_of(scripts, st.text()), st.integers(1, 60))
def test_a_cut_text_fits_and_keeps_whole_graphemes(text: str, limit: int) -> None:
    cut = truncate(text, limit)
    assert units(cut) <= limit
    if units(text) <= limit:
        assert cut == text
        return
    clusters = regex.findall(r"\X", text)
    starts = ["".join(clusters[:count]) for count in range(len(clusters) + 1)]
    fitting = [start for start in starts if units(start) <= limit - 1]
    assert cut == fitting[-1].rstrip() + "…"


@given(st.text())
def test_one_line_keeps_the_words(text: str) -> None:
    assert one_line(text).split() == text.split()
    assert len(one_line(text).splitlines()) <= 1


def test_whatsapp_values_are_numbered_by_first_use() -> None:
    text = "{{session_date}}: {{user_name}}, {{session_date}} {{tip}}"
    given_values = {"user_name": "Devi\nAmma", "session_date": "1 May 2026", "tip": "கொ"}
    numbered = whatsapp_variables(text, given_values, "ta")
    assert list(numbered) == ["1", "2", "3"]
    assert (numbered["1"], numbered["2"]) == ("1 May 2026", "Devi\nAmma")
