"""The daily figures: by language, and always what the follow-ups say."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils.timezone import now

from followups.models import FollowUpAnalytics
from followups.selectors.analytics import Period, analytics_report
from followups.services.analytics import roll_up_changed_days
from followups.services.preferences import update_preferences
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from jyotiflow.accounts.models import Language, User
from tests.followups.conftest import ScriptedChannel

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_gap(db: None) -> None:
    update_settings(changes={"min_interval_hours": 0})


def charged(language: str) -> object:
    return analytics_report(Period(language=language))["total_credits_charged"]


def test_each_language_has_figures_of_its_own(
    rich_user: User, make_template: Any, provider: ScriptedChannel, run_queue: Any
) -> None:
    template = make_template(channel="email")
    for language in (Language.TAMIL, Language.TAMIL, Language.ENGLISH):
        User.objects.filter(pk=rich_user.pk).update(preferred_language=language)
        reader = User.objects.get(pk=rich_user.pk)
        schedule_follow_up(user=reader, template_id=template.pk, scheduled_at=now())
    run_queue()
    roll_up_changed_days()
    figures = FollowUpAnalytics.objects.values_list("language", "total_sent", "credits_charged")
    assert sorted(figures) == [("en", 1, 5), ("ta", 2, 10)]
    sent = {
        language: analytics_report(Period(language=language))["total_sent"] for language in ("en", "ta", "")
    }
    assert sent == {"en": 1, "ta": 2, "": 3}


@pytest.mark.django_db(transaction=True)
def test_what_waits_counts_in_the_language_it_will_be_told_in(rich_user: User, make_template: Any) -> None:
    template = make_template(channel="email")
    schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now() + timedelta(days=2))
    roll_up_changed_days()
    assert (charged("en"), charged("ta")) == (5, 0)
    update_preferences(user=rich_user, changes={"preferred_language": "ta"}, wording="")
    roll_up_changed_days()
    assert (charged("en"), charged("ta")) == (0, 5)
