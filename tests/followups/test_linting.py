"""What may not be saved as a template, and what is only unwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followups.linting import MAX_CONTENT_LENGTH, TEXTS, Findings, lint
from followups.rendering import STANDARD_VARIABLES, TemplateSyntaxError, is_storable, variables_in

GOOD = {
    "subject": "For {{user_name}}",
    "tamil_subject": "{{user_name}} அவர்களுக்கு",
    "content": "Dear {{user_name}}, thank you.",
    "tamil_content": "அன்புள்ள {{user_name}}, நன்றி.",
}


def check(channel: str = "email", declared: list[str] | None = None, **texts: str) -> Findings:
    return lint(channel=channel, texts={**GOOD, **texts}, declared=declared)


def check_one(field: str, text: str) -> Findings:
    return lint(channel="email", texts={**GOOD, field: text}, declared=None)


def test_a_good_template_has_no_findings() -> None:
    assert check() == Findings(errors={}, notes=[], variables=["user_name"])


def test_all_five_seed_variables_are_known() -> None:
    text = " ".join(f"{{{{{name}}}}}" for name in STANDARD_VARIABLES)
    findings = check(content=text, tamil_content=text)
    assert not findings.errors
    assert set(findings.variables) == set(STANDARD_VARIABLES)


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Use {{coupon}}", "Unknown variable {{coupon}}"),
        ("Use {{User Name}}", "is not a variable"),
        ("Use {{user_name", "has no }"),
        ("NUL \x00", "can't be stored"),
        ("half \ud83d", "can't be stored"),
        ("x" * (MAX_CONTENT_LENGTH + 1), "At most 20000 characters"),
    ],
    ids=["unknown", "syntax", "open", "nul", "surrogate", "long"],
)
def test_a_text_that_can_not_be_sent_is_refused_in_its_field(field: str, text: str, complaint: str) -> None:
    findings = check_one(field, text)
    assert list(findings.errors) == [field]
    assert complaint in findings.errors[field][0]
    assert findings.variables == ()


@pytest.mark.parametrize("field", ["subject", "content"])
@pytest.mark.parametrize("nothing", ["", " \n\t"])
def test_the_english_texts_are_needed(field: str, nothing: str) -> None:
    assert check_one(field, nothing).errors == {field: ["Write something here."]}


def test_every_unknown_variable_is_named_once() -> None:
    errors = check(content="{{a}} {{b}} {{a}}").errors["content"]
    assert [error.split(":")[0] for error in errors] == ["Unknown variable {{a}}", "Unknown variable {{b}}"]


def test_a_declared_variable_is_known() -> None:
    findings = check(
        declared=["coupon"], content="{{user_name}}: {{coupon}}", tamil_content="{{coupon}} {{user_name}}"
    )
    assert not findings.errors
    assert not findings.warnings
    assert findings.variables == ["user_name", "coupon"]


@pytest.mark.parametrize("name", ["", "Coupon", "1st", "a-b", "பெயர்", "n" * 51, "a b"])
def test_a_declared_name_has_the_form_of_a_variable(name: str) -> None:
    assert list(check(declared=[name]).errors) == ["variables"]


def test_a_declared_variable_that_is_not_used_is_told() -> None:
    findings = check(declared=["coupon"])
    assert findings.warnings == ["Variable coupon is declared and not used."]
    assert findings.variables == ["user_name", "coupon"]


@pytest.mark.parametrize("field", ["tamil_subject", "tamil_content"])
def test_a_missing_tamil_text_is_told(field: str) -> None:
    assert check_one(field, "").warnings == [f"No {field}: Tamil readers get the English text."]


def test_languages_with_different_variables_are_told() -> None:
    (note,) = check(tamil_content="நன்றி {{session_date}}").notes
    assert note.field == "tamil_content"
    assert note.text == (
        "content and tamil_content use different variables: "
        "only in English {{user_name}}; only in Tamil {{session_date}}."
    )


@pytest.mark.parametrize(
    ("channel", "told"), [("sms", True), ("push", True), ("email", False), ("in_app", False)]
)
def test_guidance_where_others_can_read_it_is_told(channel: str, told: bool) -> None:
    text = "{{guidance_summary}} {{user_name}}"
    warnings = check(channel, content=text, tamil_content=text).warnings
    assert any("guidance_summary is private" in warning for warning in warnings) is told


def test_an_expensive_sms_is_told_with_the_character_that_costs() -> None:
    long = "{{user_name}} " + "a" * 100 + "🙏"
    assert check("sms", content=long).warnings == ["content takes 2 SMS segments (UCS-2) because of '🙏'."]
    tamil = "{{user_name}} " + "நன்றி" * 20
    assert check("sms", tamil_content=tamil).warnings == ["tamil_content takes 2 SMS segments (UCS-2)."]
    assert check("email", content=long, tamil_content=tamil).warnings == []


pieces = st.sampled_from(["{{user_name}}", "{{ coupon }}", "{{", "}}", "{{A}}", "\x00", "வணக்கம்", "."])
some_text = st.lists(pieces, max_size=4).map("".join)


@given(st.dictionaries(st.sampled_from(TEXTS), some_text), st.sampled_from(["sms", "push", "email"]))
def test_what_passes_can_be_rendered_and_what_does_not_is_explained(
    texts: dict[str, str], channel: str
) -> None:
    findings = lint(channel=channel, texts=texts, declared=None)
    if not findings.errors:
        assert set(variables_in(*texts.values())) <= set(STANDARD_VARIABLES)
        assert all(map(is_storable, texts.values()))
        return
    assert all(problem for problems in findings.errors.values() for problem in problems)
    for name in findings.errors:
        text = texts.get(name, "")
        is_sound = is_storable(text) and "coupon" not in text and bool(text.strip())
        if is_sound:
            with pytest.raises(TemplateSyntaxError):
                variables_in(text)
