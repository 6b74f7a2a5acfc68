"""A template's versions: how they differ, which language is behind, and taking an old one back."""

from typing import Any

import pytest

from followups.models import FollowUpTemplate
from followups.selectors.versions import Age, age_of_texts, compare, waiting_at_most
from followups.services.scheduling import schedule_follow_up
from followups.services.templates import restore_version, save_template
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import InvalidInput
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def template(make_template: Any) -> FollowUpTemplate:
    made: FollowUpTemplate = make_template(channel="email")
    return made


def edit(template: FollowUpTemplate, **fields: Any) -> None:
    save_template(template=template, fields=fields)
    template.refresh_from_db()


def version(template: FollowUpTemplate, number: int) -> Any:
    return template.versions.get(number=number)


def test_the_language_that_was_left_behind_is_known(template: FollowUpTemplate) -> None:
    assert age_of_texts(template) == Age(english=1, tamil=1)
    edit(template, content="Other words.")
    edit(template, dlt_template_id="1207")
    age = age_of_texts(template)
    assert age == Age(english=2, tamil=1)
    assert age.is_tamil_older
    edit(template, tamil_content="வேறு சொற்கள்.")
    age = age_of_texts(template)
    assert age == Age(english=2, tamil=4)
    assert not age.is_tamil_older
    edit(template, tamil_content="", tamil_subject="")
    assert age_of_texts(template) is None
    assert age_of_texts(FollowUpTemplate(tamil_content="நலமா")) is None


def test_every_field_of_the_text_is_compared(template: FollowUpTemplate) -> None:
    text = "Dear {{user_name}}, may {{wish}} come true."
    edit(template, content=text, tamil_content=text, variables=["wish"], dlt_template_id="1207")
    changed = [
        change.field for change in compare(version(template, 1), version(template, 2)) if change.is_changed
    ]
    assert changed == ["content", "tamil_content", "variables", "dlt_template_id"]
    assert not any(change.is_changed for change in compare(template, version(template, 2)))


def test_an_old_text_comes_back_as_a_new_version(template: FollowUpTemplate, admin: User) -> None:
    edit(template, content="{{wish}}", tamil_content="{{wish}}", variables=["wish"], credits_cost=9)
    restored, warnings = restore_version(version=version(template, 1), actor=admin)
    assert (restored.version, restored.credits_cost, warnings) == (3, 9, [])
    assert restored.content == "Dear {{user_name}}, how are you?"
    assert restored.variables == ["user_name"]
    newest = version(template, 3)
    assert newest.created_by == admin
    assert not any(change.is_changed for change in compare(version(template, 1), newest))
    assert restore_version(version=version(template, 1), actor=admin)[0].version == 3  # it's that already
    restored, _ = restore_version(version=version(template, 2), actor=admin)
    assert restored.variables == ["user_name", "wish"]


def test_a_text_that_may_not_be_saved_any_more_does_not_come_back(
    template: FollowUpTemplate, admin: User
) -> None:
    old = template.versions.create(number=7, subject="Hello", content="Dear {{nobody_knows}}")
    with pytest.raises(InvalidInput):
        restore_version(version=old, actor=admin)
    template.refresh_from_db()
    assert template.content == "Dear {{user_name}}, how are you?"


def test_a_count_of_what_waits_ends_somewhere(template: FollowUpTemplate) -> None:
    FollowUpTemplate.objects.update(credits_cost=0)
    for _ in range(3):
        schedule_follow_up(user=UserFactory(), template_id=template.pk)
    assert [waiting_at_most(template, most) for most in (1, 2, 3, 10)] == [2, 3, 3, 3]
