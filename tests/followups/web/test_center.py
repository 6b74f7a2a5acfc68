"""The list, one follow-up, cancelling and moving it: without scripts, and in htmx's parts."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from credits.selectors import balance_of
from followups.models import FollowUpSchedule
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from jyotiflow.accounts.models import User
from sessions_app.models import Session
from tests.factories import SessionFactory, UserFactory
from tests.followups.web.conftest import HTMX, many, text_of

pytestmark = pytest.mark.django_db
LIST = "/followups/"
MOST_QUERIES = 50


@pytest.fixture
def follow_up(rich_user: User, session: Session, make_template: Any) -> FollowUpSchedule:
    """One for 5 credits that goes out in three days."""
    return schedule_follow_up(
        user=rich_user,
        template_id=make_template().pk,
        session_id=session.pk,
        scheduled_at=now() + timedelta(days=3),
    )


def path_of(follow_up: FollowUpSchedule, act: str = "") -> str:
    return f"/followups/{follow_up.pk}{act}"


def test_follow_ups_stand_under_the_session_they_belong_to(
    reader: Client, rich_user: User, session: Session, follow_up: FollowUpSchedule, make_template: Any
) -> None:
    many(rich_user, make_template(name="Alone", subject="On its own"), None, 1)
    said = text_of(reader.get(LIST))
    order = ["Spiritual guidance", "When should I begin?", "How are you, ", "Without a session", "On its own"]
    assert [said.index(part) for part in order] == sorted(said.index(part) for part in order)
    assert "2 Total" in said
    assert "Your balance 95 credits" in said


def test_a_session_shows_its_newest_and_leads_to_the_rest(
    reader: Client, rich_user: User, session: Session, make_template: Any
) -> None:
    template = make_template()
    many(rich_user, template, session, 25)
    page = reader.get(LIST)
    assert page.content.count(b'class="item ') == 3
    assert "22 more follow-ups" in text_of(page)
    first = reader.get(f"/followups/session/{session.pk}")
    assert first.content.count(b'class="item ') == 20
    assert "Page 1 of 2" in text_of(first)
    assert reader.get(f"/followups/session/{session.pk}?page=2").content.count(b'class="item ') == 5


def test_the_counters_are_filters(
    reader: Client, rich_user: User, session: Session, make_template: Any
) -> None:
    template, moment = make_template(subject="Hello"), now()
    arrived = {"status": "delivered", "sent_at": moment, "delivered_at": moment}
    many(rich_user, template, session, 1, **arrived)
    other = SessionFactory(user=rich_user, completed=True, service_type="career")
    many(rich_user, template, other, 2)
    said = text_of(reader.get(LIST))
    assert ("3 Total" in said, "2 Scheduled" in said, "1 Delivered" in said) == (True, True, True)
    scheduled = text_of(reader.get(f"{LIST}?show=scheduled"))
    assert ("Career" in scheduled, "Spiritual guidance" in scheduled) == (True, False)
    delivered = text_of(reader.get(f"{LIST}?show=delivered"))
    assert ("Career" in delivered, "Spiritual guidance" in delivered) == (False, True)
    assert text_of(reader.get(f"{LIST}?show=nonsense&page=nonsense")) == said


def test_what_one_has_nothing_of_is_said_in_words(reader: Client, session: Session) -> None:
    assert "No follow-ups for this session yet." in text_of(reader.get(LIST))
    assert "Nothing is scheduled" in text_of(reader.get(f"{LIST}?show=scheduled"))
    newcomer = Client()
    newcomer.force_login(UserFactory())
    assert "Nothing here yet" in text_of(newcomer.get(LIST))


def test_why_it_failed_is_told_in_the_reader_s_words_only(
    reader: Client, rich_user: User, make_template: Any
) -> None:
    failed = {"status": "failed", "failed_at": now()}
    known = {**failed, "failure_code": "30005", "failure_reason": "The phone number is unknown."}
    ours = {**failed, "failure_code": "20404", "failure_reason": "Twilio knows no such resource."}
    many(rich_user, make_template(), None, 1, **known)
    many(rich_user, make_template(), None, 1, **ours)
    said = text_of(reader.get(LIST))
    assert "Your phone number can&#x27;t receive this kind of message." in said
    assert "It could not be delivered." in said
    assert "Twilio" not in said


def test_times_are_the_reader_s(reader: Client, rich_user: User, make_template: Any) -> None:
    at = datetime(2026, 3, 9, 4, 30, tzinfo=UTC)
    many(rich_user, make_template(), None, 1, scheduled_at=at)
    assert "Goes out on 9 March 2026, 10:00\N{NO-BREAK SPACE}am" in reader.get(LIST).content.decode()
    User.objects.filter(pk=rich_user.pk).update(timezone="America/New_York")
    assert "9 March 2026, 12:30\N{NO-BREAK SPACE}am" in reader.get(LIST).content.decode()


def test_cancelling_asks_first_and_says_what_comes_back(
    reader: Client, rich_user: User, follow_up: FollowUpSchedule
) -> None:
    asked = text_of(reader.get(path_of(follow_up, "/cancel")))
    assert "You get 5 credits back." in asked
    assert balance_of(rich_user) == 95
    done = reader.post(path_of(follow_up, "/cancel"), follow=True)
    assert "It is cancelled. 5 credits came back to you." in text_of(done)
    assert "It was cancelled before it was sent." in text_of(done)
    assert balance_of(rich_user) == 100
    again = reader.get(path_of(follow_up, "/cancel"))
    assert (again.status_code, again["Location"]) == (302, path_of(follow_up))


def test_where_nothing_comes_back_it_says_so(reader: Client, follow_up: FollowUpSchedule) -> None:
    update_settings(changes={"refund_on_cancel": False})
    assert "Its 5 credits are not returned." in text_of(reader.get(path_of(follow_up, "/cancel")))
    done = reader.post(path_of(follow_up, "/cancel"), follow=True)
    assert "It is cancelled. " in text_of(done)
    assert "came back" not in text_of(done)


def test_moving_it_keeps_the_price_and_the_reader_s_clock(
    reader: Client, rich_user: User, follow_up: FollowUpSchedule
) -> None:
    day = (now() + timedelta(days=5)).date()
    done = reader.post(
        path_of(follow_up, "/reschedule"), {"scheduled_at": f"{day.isoformat()}T10:30"}, follow=True
    )
    assert "It goes out on" in text_of(done)
    follow_up.refresh_from_db()
    assert follow_up.scheduled_at.astimezone(rich_user.zone).strftime("%Y-%m-%d %H:%M") == f"{day} 10:30"
    assert balance_of(rich_user) == 95
    form = reader.get(path_of(follow_up, "/reschedule")).content.decode()
    assert f'value="{day.isoformat()}T10:30"' in form


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("", "Please choose a day and a time."),
        ("tomorrow", "Please choose a day and a time."),
        ("2026-01-01T10:00+00:00", "Please choose a day and a time."),
        ("0001-01-01T00:00", "Please choose a day and a time."),
        ("2020-01-01T10:00", "Please choose a time in the future."),
        ("9998-01-01T10:00", "Please choose a time within 30 days."),
    ],
)
def test_a_time_that_can_not_be_is_refused_beside_its_field(
    reader: Client, follow_up: FollowUpSchedule, given: str, told: str
) -> None:
    answer = reader.post(path_of(follow_up, "/reschedule"), {"scheduled_at": given})
    assert answer.status_code == 200
    assert told in text_of(answer)
    assert 'aria-invalid="true"' in answer.content.decode()
    before = follow_up.scheduled_at
    follow_up.refresh_from_db()
    assert follow_up.scheduled_at == before


def test_htmx_gets_the_card_and_the_counters(reader: Client, follow_up: FollowUpSchedule) -> None:
    for act in ("", "/cancel", "/reschedule"):
        part = reader.get(path_of(follow_up, act), headers=HTMX).content.decode()
        assert part.lstrip().startswith("<li")
        assert "<html" not in part
    done = reader.post(path_of(follow_up, "/cancel"), headers=HTMX)
    said = done.content.decode()
    assert f'id="item-{follow_up.pk}"' in said
    assert 'id="counts" class="counts" hx-swap-oob="true"' in said
    assert "100 credits" in said
    assert "It is cancelled." in said
    refused = reader.post(path_of(follow_up, "/reschedule"), {"scheduled_at": ""}, headers=HTMX)
    assert "Please choose a day and a time." in refused.content.decode()


def test_a_sign_in_that_ended_leads_htmx_to_the_sign_in_page(follow_up: FollowUpSchedule) -> None:
    answer = Client().get(path_of(follow_up), headers=HTMX)
    assert answer["HX-Redirect"] == "/accounts/login?next=/followups/"
    assert answer.content == b""


@pytest.mark.parametrize("act", ["", "/cancel", "/reschedule"])
def test_what_is_somebody_else_s_is_not_there(follow_up: FollowUpSchedule, act: str) -> None:
    other = Client()
    other.force_login(UserFactory())
    body = {"scheduled_at": "2027-01-01T10:00"}
    assert other.get(path_of(follow_up, act)).status_code == 404
    assert other.post(path_of(follow_up, act), body).status_code in (404, 405)
    assert other.get(f"/followups/session/{follow_up.session_id}").status_code == 404
    assert other.get(f"/followups/{uuid.uuid4()}{act}").status_code == 404
    follow_up.refresh_from_db()
    assert follow_up.status == "pending"


def queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


def test_no_page_asks_more_the_more_there_is(
    reader: Client, rich_user: User, session: Session, make_template: Any
) -> None:
    template = make_template()
    paths = [LIST, f"{LIST}?show=scheduled", f"/followups/session/{session.pk}", "/followups/others"]
    many(rich_user, template, session, 2)
    many(rich_user, template, None, 2)
    queries(reader, LIST)  # settings and templates are kept between requests
    before = [queries(reader, path) for path in paths]
    many(rich_user, template, session, 30)
    many(rich_user, template, None, 30)
    for _ in range(12):
        many(rich_user, template, SessionFactory(user=rich_user, completed=True), 4)
    assert [queries(reader, path) for path in paths] == before
    assert max(before) <= MOST_QUERIES


def test_ten_thousand_are_pages_of_a_few(
    reader: Client, rich_user: User, session: Session, make_template: Any
) -> None:
    template = make_template()
    many(rich_user, template, session, 9_000)
    many(rich_user, template, None, 1_000)
    page = reader.get(LIST)
    assert "10,000 Total" in text_of(page)
    assert page.content.count(b'class="item ') == 6
    assert len(page.content) < 60_000
    last = reader.get(f"/followups/session/{session.pk}?page=450")
    assert last.content.count(b'class="item ') == 20
    assert "Page 450 of 450" in text_of(last)
