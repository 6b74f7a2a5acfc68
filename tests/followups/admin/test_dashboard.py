"""The dashboard: its numbers are the API's and the ledger's; filters, switches, files, and what it costs."""

import csv
import re
from collections.abc import Iterator
from datetime import date, timedelta
from time import time
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Sum
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import strip_tags
from django.utils.timezone import now
from rest_framework.test import APIClient

from credits.models import CreditEntry
from credits.services import grant
from followups.choices import State
from followups.models import ChannelSwitch, FollowUpSchedule, FollowUpTemplate
from followups.selectors.analytics import Period
from followups.selectors.channels import breaker_key
from followups.selectors.dashboard import Figures, by_day, ranking
from followups.services.analytics import roll_up_changed_days
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.services.switching import switch_channel
from followups.services.withdrawing import cancel_follow_up, fail_follow_up
from jyotiflow.accounts.models import User
from jyotiflow.accounts.services import ensure_staff_groups
from jyotiflow.accounts.tokens import issue_pair
from jyotiflow.auditing.models import Action, AuditEntry
from jyotiflow.valkey import valkey
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

PAGE = "/admin/followups/dashboard/"
SWITCH = f"{PAGE}switch/"


@pytest.fixture
def busy(make_template: Any, run_queue: Any) -> dict[str, FollowUpTemplate]:
    """Messages of every fate: sent, delivered, read, failed, cancelled and waiting, on two channels."""
    update_settings(
        changes={"quiet_hours_start": "00:00", "quiet_hours_end": "00:00", "min_interval_hours": 0}
    )
    mail = make_template(name="Thanks", tamil_name="நன்றி", channel="email", credits_cost=5)
    inbox = make_template(name="Check-in", channel="in_app", credits_cost=2)
    for number in range(8):
        user = UserFactory(preferred_language="ta" if number % 2 else "en")
        grant(user=user, amount=50, reason="test", key=f"busy:{number}")
        for template in (mail, inbox):
            schedule_follow_up(user=user, template_id=template.pk, scheduled_at=now())
    run_queue()
    mails = list(FollowUpSchedule.objects.filter(template=mail).order_by("created_at", "pk"))
    FollowUpSchedule.objects.filter(pk__in=[m.pk for m in mails[:4]]).update(
        status="delivered", delivered_at=now()
    )
    FollowUpSchedule.objects.filter(pk__in=[m.pk for m in mails[:3]]).update(status="read", read_at=now())
    for failed in mails[6:]:
        fail_follow_up(
            follow_up=failed, code="30003", reason="The phone could not be reached.", from_states=[State.SENT]
        )
    later = schedule_follow_up(user=user, template_id=mail.pk, scheduled_at=now() + timedelta(minutes=30))
    schedule_follow_up(user=user, template_id=mail.pk, scheduled_at=now() + timedelta(hours=5))
    cancel_follow_up(follow_up_id=later.pk)
    roll_up_changed_days()
    return {"mail": mail, "inbox": inbox}


def tiles(answer: Any) -> dict[str, str]:
    """What each tile says, by its title."""
    text = answer.content.decode()
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text)
    return {title: strip_tags(number).strip() for title, number in found}


def report(admin: User, **filters: str) -> Any:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_pair(admin).access_token}")
    return client.get("/api/followup/admin/analytics", filters).json()["data"]


def ledger(kind: str) -> int:
    return abs(CreditEntry.objects.filter(kind=kind).aggregate(total=Sum("amount"))["total"] or 0)


def test_the_numbers_are_the_api_s_and_the_ledger_s(admin_site: Client, admin: User, busy: Any) -> None:
    answer = admin_site.get(PAGE)
    total = answer.context["total"]
    said = report(admin)
    assert (total.sent, total.delivered, total.read, total.failed) == (16, 12, 3, 2)
    for name in ("sent", "delivered", "read", "failed"):
        assert getattr(total, name) == said[f"total_{name}"], name
    assert total.charged == said["total_credits_charged"] == ledger("charge") == 8 * 7 + 2 * 5
    assert total.refunded == said["total_credits_refunded"] == ledger("refund") == 3 * 5
    assert float(total.revenue) == said["total_revenue"]
    assert total.delivery_rate == said["delivery_rate"]
    assert total.read_rate == said["read_rate"]
    shown = tiles(answer)
    assert shown["Sent"] == "16"
    assert shown["Delivered"] == "12 75.0 %"
    assert shown["Credits charged"].startswith("66")
    assert shown["Credits refunded"] == "15"
    assert shown["Written to"] == str(said["engagement"]["recipients"]) == "8"
    assert shown["Due in the next 24 hours"] == "1"


@pytest.mark.parametrize("chosen", ["channel", "template", "language", "nothing"])
def test_every_filter_means_what_it_means_to_the_api(
    admin_site: Client, admin: User, busy: Any, chosen: str
) -> None:
    filters: dict[str, str] = {
        "channel": {"channel": "email"},
        "template": {"template": str(busy["inbox"].pk)},
        "language": {"language": "ta"},
        "nothing": {"start_date": "2020-01-01", "end_date": "2020-01-31"},
    }[chosen]
    answer = admin_site.get(PAGE, filters)
    total, said = answer.context["total"], report(admin, **filters)
    assert total.sent == said["total_sent"] == {"nothing": 0}.get(chosen, 8)
    assert total.charged == said["total_credits_charged"]
    assert float(total.revenue) == said["total_revenue"]
    chart = next(chart for chart in answer.context["charts"] if chart.name == "channels")
    for row in chart.rows:
        name = {"Email": "email", "In-app": "in_app"}.get(row.label)
        if name:
            assert float(row.cells[0].value) == said["channel_performance"][name]["sent"]


def test_days_without_messages_are_days_too(busy: Any) -> None:
    today = date.fromisoformat(f"{now():%Y-%m-%d}")
    days = by_day(Period(start=today - timedelta(days=6), end=today))
    assert [row.key for row in days] == [today - timedelta(days=6 - n) for n in range(7)]
    assert [row.sent for row in days] == [0] * 6 + [16]
    with pytest.raises(ValueError, match="open period"):
        by_day(Period(start=today))


def test_filters_stay_in_every_link(admin_site: Client, busy: Any) -> None:
    text = admin_site.get(PAGE, {"channel": "email", "days": "7"}).content.decode()
    assert 'hx-get="?channel=email&amp;days=7&amp;part=live"' in text
    assert 'href="?channel=email&amp;days=90"' in text
    assert 'href="?channel=email&amp;days=7&amp;csv=daily"' in text
    assert f'action="{SWITCH}?channel=email&amp;days=7"' in text
    part = admin_site.get(PAGE, {"channel": "email", "days": "7", "part": "live"}).content.decode()
    assert f'action="{SWITCH}?channel=email&amp;days=7"' in part
    assert "<html" not in part


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"start_date": "2026-02-01", "end_date": "2026-01-01"}, "The last day lies before the first one."),
        ({"start_date": "2020-01-01", "end_date": "2026-01-01"}, "Choose at most 366 days."),
        ({"start_date": "soon"}, "From: Enter a valid date."),
        ({"channel": "pigeon"}, "Channel: Select a valid choice."),
        ({"language": "fr"}, "Language: Select a valid choice."),
        ({"template": "\x00"}, ""),
        ({"days": "9999999999"}, ""),
    ],
)
def test_what_can_t_be_shown_is_said_and_the_usual_days_are(
    admin_site: Client, asked: dict[str, str], said: str
) -> None:
    answer = admin_site.get(PAGE, asked)
    if "\x00" in asked.get("template", ""):
        assert answer.status_code == 400
        return
    assert answer.status_code == 200
    assert said in answer.content.decode()
    period = answer.context["period"]
    assert (period.end - period.start).days == 29


def test_why_messages_failed_is_told_and_leads_to_them(admin_site: Client, busy: Any) -> None:
    answer = admin_site.get(PAGE)
    (each,) = answer.context["failures"]
    assert (each["failure"].code, each["failure"].count) == ("30003", 2)
    assert each["share"] == 100
    assert "The phone could not be reached" in answer.content.decode()
    found = admin_site.get(each["link"])
    assert found.status_code == 200
    assert found.context["cl"].result_count == 2
    for name, link in answer.context["links"].items():
        assert admin_site.get(link).status_code == 200, name


def test_best_and_worst_are_told_of_templates_with_enough_messages_only() -> None:
    def of(name: str, sent: int, delivered: int, read: int = 0) -> Figures:
        return Figures(key=name, name=name, sent=sent, delivered=delivered, read=read)

    rows = [of("a", 100, 90, 10), of("b", 100, 50, 40), of("c", 4, 0), of("d", 0, 0), of("e", 200, 180, 1)]
    found = ranking(rows, by="delivery_rate")
    assert [row.name for row in found.best] == ["e", "a"]
    assert [row.name for row in found.worst] == ["b"]
    assert [row.name for row in found.unsure] == ["c"]
    found = ranking(rows, by="read_rate")
    assert ([row.name for row in found.best], [row.name for row in found.worst]) == (["b", "a"], ["e"])
    one = ranking(rows[:1], by="delivery_rate")
    assert ([row.name for row in one.best], list(one.worst)) == (["a"], [])


def lines(answer: Any) -> list[list[str]]:
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.reader(text.splitlines()))


def test_the_files_have_what_the_page_shows(admin_site: Client, admin: User, busy: Any) -> None:
    head, *days = lines(admin_site.get(PAGE, {"csv": "daily", "days": "7"}))
    assert head[:3] == ["date", "sent", "delivered"]
    assert len(days) == 7
    assert sum(int(day[head.index("charged")]) for day in days) == ledger("charge")
    head, *channels = lines(admin_site.get(PAGE, {"csv": "channels"}))
    assert {row[0]: row[1] for row in channels}["email"] == "8"
    head, *languages = lines(admin_site.get(PAGE, {"csv": "languages"}))
    assert [row[:2] for row in languages] == [["en", "8"], ["ta", "8"]]
    head, *templates = lines(admin_site.get(PAGE, {"csv": "templates"}))
    assert [row[1:3] for row in templates] == [["Check-in", ""], ["Thanks", "நன்றி"]]
    assert admin_site.get(PAGE, {"csv": "people"}).status_code == 404
    exports = AuditEntry.objects.filter(action=Action.EXPORTED, actor=admin)
    assert sorted(exports.values_list("label", flat=True)) == ["channels", "daily", "languages", "templates"]


def test_a_channel_is_paused_and_resumed_from_here(admin_site: Client, admin: User) -> None:
    answer = admin_site.post(
        f"{SWITCH}?days=7", {"channel": "sms", "is_paused": "on", "reason": " Numbers move "}, follow=True
    )
    assert answer.redirect_chain == [(f"{PAGE}?days=7", 302)]
    row = ChannelSwitch.objects.get(channel="sms")
    assert (row.is_paused, row.reason, row.changed_by) == (True, "Numbers move", admin)
    text = answer.content.decode()
    assert "SMS is paused." in text
    assert "Numbers move" in text
    answer = admin_site.post(SWITCH, {"channel": "sms"}, follow=True)
    assert "SMS goes on." in answer.content.decode()
    assert not ChannelSwitch.objects.filter(is_paused=True).exists()


def test_what_can_t_be_switched_changes_nothing(admin_site: Client) -> None:
    for form in ({}, {"channel": "pigeon", "is_paused": "on"}, {"channel": "sms", "reason": "x" * 201}):
        answer = admin_site.post(SWITCH, form, follow=True)
        assert "Name a channel" in answer.content.decode()
    assert not ChannelSwitch.objects.exists()
    assert admin_site.get(SWITCH).status_code == 405


@pytest.fixture
def silent() -> Iterator[None]:
    """The provider of SMS does not answer."""
    valkey().hset(breaker_key("sms"), mapping={"open_until": time() + 60, "cool_down": 60, "unanswered": 10})
    yield
    valkey().delete(breaker_key("sms"))


def test_what_holds_messages_up_is_told(
    admin_site: Client, rich_user: User, make_template: Any, silent: None
) -> None:
    switch_channel(channel="email", is_paused=True, actor=None, reason="Moving")
    update_settings(changes={"enable_analytics": False, "min_interval_hours": 0})
    stuck, lost, doubtful = (
        schedule_follow_up(
            user=rich_user, template_id=make_template(name=name, channel="email").pk, scheduled_at=now()
        ).pk
        for name in "abc"
    )
    hour_ago = now() - timedelta(hours=1)
    FollowUpSchedule.objects.filter(pk=stuck).update(due_at=hour_ago)
    FollowUpSchedule.objects.filter(pk=lost).update(
        status="sending", lease_until=hour_ago, claim_token="00000000-0000-4000-8000-000000000000"
    )
    FollowUpSchedule.objects.filter(pk=doubtful).update(status="in_doubt")
    answer = admin_site.get(PAGE)
    shown = tiles(answer)
    assert shown["Stuck: due for over 5 minutes"] == "1"
    assert shown["Stuck: a worker's lease ran out"] == "1"
    assert shown["In doubt: sent or not is being asked"] == "1"
    text = answer.content.decode()
    assert "Does not answer; asked again in " in text
    assert "Figures are not counted" in text
    assert "No sign of life of the worker" in text
    assert "1\xa0hour" in text


def test_an_empty_dashboard_says_so(admin_site: Client) -> None:
    text = admin_site.get(PAGE).content.decode()
    assert text.count("Nothing in these days.") == 5
    assert "<canvas" not in text
    assert "Nothing failed in these days." in text
    assert "No template&#x27;s message was sent in these days." in text or "No template's message" in text


def test_it_asks_the_database_as_often_for_many_rows_as_for_few(admin_site: Client, make_rows: Any) -> None:
    def queries(**query: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_site.get(PAGE, query).status_code == 200
        return len(captured)

    make_rows(2)
    queries()  # content types are looked up once a process
    few = queries(), queries(part="live")
    make_rows(10)
    assert (queries(), queries(part="live")) == few
    assert few[0] <= 25
    assert few[1] <= 12


def test_each_group_sees_what_is_its_own(client: Client, busy: Any) -> None:
    ensure_staff_groups()
    opens = {}
    for name in ("Operators", "Finance", "Viewers", "Template editors", "Privacy"):
        staff = UserFactory(staff=True)
        staff.groups.add(Group.objects.get(name=name))
        client.force_login(staff)
        answer = client.get(PAGE)
        opens[name] = answer.status_code
        is_listed = f'href="{PAGE}"' in client.get("/admin/").content.decode()
        assert is_listed == (answer.status_code == 200), name
        if answer.status_code == 200:
            assert ("Pause…" in answer.content.decode()) == (name == "Operators"), name
        assert client.post(SWITCH, {"channel": "sms"}).status_code == (302 if name == "Operators" else 403)
    assert opens == {
        "Operators": 200,
        "Finance": 200,
        "Viewers": 200,
        "Template editors": 403,
        "Privacy": 403,
    }


def test_it_is_offered_first_and_speaks_tamil_names(admin_site: Client, busy: Any) -> None:
    for index in ("/admin/", "/admin/followups/"):
        text = admin_site.get(index).content.decode()
        assert text.index(f'href="{PAGE}"') < text.index("/admin/followups/attempt/")
    admin_site.cookies[settings.LANGUAGE_COOKIE_NAME] = "ta"
    assert "நன்றி" in admin_site.get(PAGE).content.decode()
