"""A new follow-up: the quote comes before the order, and a second click is the same order."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils.timezone import now

from credits.selectors import balance_of
from followups.models import FollowUpSchedule, FollowUpTemplate
from followups.services.consent import opt_out
from jyotiflow.accounts.models import User
from sessions_app.models import Session
from tests.factories import SessionFactory, UserFactory
from tests.followups.web.conftest import text_of

pytestmark = pytest.mark.django_db


def path_of(session: Session) -> str:
    return f"/followups/session/{session.pk}/new"


def hidden(page: Any) -> dict[str, str]:
    """The fields of the form that orders."""
    form = page.content.decode().split('id="quote"')[1]
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))


def quoted(client: Client, session: Session, template: FollowUpTemplate, at: str = "") -> Any:
    return client.get(path_of(session), {"template": str(template.pk), "at": at})


def test_the_quote_says_what_it_says_costs_and_when_and_books_nothing(
    reader: Client, rich_user: User, session: Session, make_template: Any
) -> None:
    template = make_template()
    assert "5 credits" in text_of(reader.get(path_of(session)))
    said = text_of(quoted(reader, session, template))
    assert f"Dear {rich_user.name}, how are you?" in said
    for part in ("Price 5 credits", "You keep 95 credits", "Order it for 5 credits"):
        assert part in said
    assert re.search(r"Goes out \d+ \w+ \d{4}, 10:00\s", said)
    assert not FollowUpSchedule.objects.exists()


def test_what_was_quoted_is_ordered_once(
    reader: Client, rich_user: User, session: Session, make_template: Any
) -> None:
    order = hidden(quoted(reader, session, make_template()))
    done = reader.post(path_of(session), order, follow=True)
    assert "It is booked and goes out on" in text_of(done)
    again = reader.post(path_of(session), order)
    booked = FollowUpSchedule.objects.get()
    assert again["Location"] == f"/followups/{booked.pk}"
    assert (booked.session_id, booked.origin, booked.credits_charged) == (session.pk, "manual", 5)
    assert balance_of(rich_user) == 95


def test_one_s_own_time_is_kept(
    reader: Client, rich_user: User, session: Session, make_template: Any
) -> None:
    at = f"{(now() + timedelta(days=4)).date().isoformat()}T18:45"
    order = hidden(quoted(reader, session, make_template(), at))
    assert order["at"] == at
    reader.post(path_of(session), order)
    booked = FollowUpSchedule.objects.get()
    assert booked.scheduled_at.astimezone(rich_user.zone).strftime("%Y-%m-%dT%H:%M") == at


def test_every_reason_against_it_is_told_and_nothing_can_be_ordered(
    reader: Client, rich_user: User, session: Session, make_template: Any
) -> None:
    dear = make_template(credits_cost=500)
    opt_out(user=rich_user, channel="in_app")
    page = quoted(reader, session, dear, "2020-01-01T10:00")
    said = text_of(page)
    for part in (
        "You don&#x27;t have enough credits for this.",
        "You have switched this channel off in your preferences.",
        "Please choose a time in the future.",
    ):
        assert part in said
    assert hidden(page) == {}


def test_a_price_that_rose_is_asked_about_again(
    reader: Client, rich_user: User, session: Session, make_template: Any
) -> None:
    template = make_template()
    order = hidden(quoted(reader, session, template))
    FollowUpTemplate.objects.filter(pk=template.pk).update(credits_cost=9)
    page = reader.post(path_of(session), order, follow=True)
    assert "The price has changed meanwhile." in text_of(page)
    assert "Order it for 9 credits" in text_of(page)
    assert balance_of(rich_user) == 100
    reader.post(path_of(session), hidden(page))
    assert balance_of(rich_user) == 91


def test_a_price_that_fell_is_what_is_paid(
    reader: Client, rich_user: User, session: Session, make_template: Any
) -> None:
    template = make_template()
    order = hidden(quoted(reader, session, template))
    FollowUpTemplate.objects.filter(pk=template.pk).update(credits_cost=2)
    reader.post(path_of(session), order)
    assert balance_of(rich_user) == 98


def test_only_what_a_reader_can_order_is_offered(
    reader: Client, session: Session, make_template: Any
) -> None:
    make_template(name="For all")
    make_template(name="For tarot", service_types=["tarot"])
    make_template(name="For programs", content="{{order}}", tamil_content="{{order}}", variables=["order"])
    make_template(name="Retired", is_active=False)
    said = text_of(reader.get(path_of(session)))
    assert [name in said for name in ("For all", "For tarot", "For programs", "Retired")] == [
        True,
        False,
        False,
        False,
    ]


def test_bad_orders_lead_back(reader: Client, session: Session, make_template: Any) -> None:
    template = make_template()
    order = hidden(quoted(reader, session, template))
    for wrong in ({"template": "x"}, {"key": ""}, {"price": "-1"}, {"at": "soon"}):
        assert reader.post(path_of(session), {**order, **wrong}, follow=True).status_code == 200
    assert not FollowUpSchedule.objects.exists()


def test_another_s_session_and_an_open_one_are_not_there(reader: Client, rich_user: User) -> None:
    for session in (SessionFactory(completed=True), SessionFactory(user=rich_user)):
        assert reader.get(path_of(session)).status_code == 404
        assert reader.post(path_of(session), {}).status_code == 404
    stranger = Client()
    stranger.force_login(UserFactory())
    assert not FollowUpSchedule.objects.exists()


def test_ordering_has_the_limit_of_the_api(
    reader: Client, session: Session, make_template: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jyotiflow.accounts.limits.UserThrottle.rate", "2/min", raising=False)
    order = hidden(quoted(reader, session, make_template()))
    answers = [reader.post(path_of(session), {**order, "at": "soon"}).status_code for _ in range(3)]
    assert answers == [302, 302, 429]
