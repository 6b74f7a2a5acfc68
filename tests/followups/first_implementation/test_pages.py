"""Faults 76-80 of the first implementation: what people see, and what its pages are answered."""

import re
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from credits.selectors import balance_of
from followups.models import FollowUpSchedule
from jyotiflow.accounts.models import User
from tests.factories import SessionFactory
from tests.followups.first_implementation.conftest import SCHEDULE, client_of, in_hours

pytestmark = pytest.mark.django_db
CENTER = "/followups/"


@pytest.fixture
def browser(rich_user: User) -> Client:
    """A browser in which the user is signed in."""
    client = Client()
    client.force_login(rich_user)
    return client


def text_of(page: Any) -> str:
    body = page.content.decode().split("<main", 1)[1].split("</main>")[0]
    body = re.sub(r'<nav class="tiles".*?</nav>', "", body, flags=re.DOTALL)  # they count every kind
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_orig_76_every_refusal_says_in_a_sentence_what_to_do(
    user: User, api: APIClient, user_api: APIClient, make_template: Any
) -> None:
    body = {"template_id": str(make_template().pk)}
    refusals = [
        user_api.post(SCHEDULE, {**body, "scheduled_at": "2020-01-01T10:00:00Z"}, format="json"),
        user_api.post(SCHEDULE, {**body, "scheduled_at": in_hours(24 * 99)}, format="json"),
        user_api.post(SCHEDULE, {**body, "session_id": "none"}, format="json"),
        user_api.post(SCHEDULE, {**body, "credits_to_charge": 0}, format="json"),
        client_of(user).post("/api/followup/sms/none"),
    ]
    for answer in refusals:
        message = answer.json()["message"]
        assert re.fullmatch(r"[\w: ]*[A-Z].+\.", message), message
        assert str(answer.status_code) not in message


def test_orig_76_the_page_tells_why_a_cancel_was_refused(
    browser: Client, schedule: Any, make_template: Any, run_queue: Any
) -> None:
    follow_up_id = schedule(make_template(), 0).json()["followup_id"]
    run_queue()
    page = browser.post(f"/followups/{follow_up_id}/cancel", follow=True)
    assert "Only a follow-up that is still scheduled can be changed." in page.content.decode()


def test_orig_77_what_is_scheduled_is_not_shown_as_sent(
    browser: Client, user_api: APIClient, schedule: Any, make_template: Any, run_queue: Any
) -> None:
    template = make_template(channel="email")
    schedule(template, 0)
    (item,) = user_api.get("/api/followup/my-followups").json()["data"]
    assert (item["sent_at"], item["delivery_status"]) == (None, "pending")
    before = text_of(browser.get(CENTER))
    assert ("Scheduled" in before, "Goes out on" in before, "Sent on" in before) == (True, True, False)
    run_queue()
    (item,) = user_api.get("/api/followup/my-followups").json()["data"]
    assert (bool(item["sent_at"]), item["delivery_status"]) == (True, "sent")
    after = text_of(browser.get(f"{CENTER}?tab=messages"))  # an old link still leads here
    assert ("Scheduled" in after, "Sent on" in after) == (False, True)


def test_orig_78_an_empty_price_and_a_blank_form_are_no_error(
    admin_api: APIClient, schedule: Any, make_template: Any
) -> None:
    template = make_template(credits_cost=9)
    path = f"/api/followup/admin/templates/{template.pk}"
    assert admin_api.put(path, {"credits_cost": None}, format="json").status_code == 200
    assert schedule(template, 1).json()["credits_charged"] == 5  # the default
    listed = admin_api.get("/api/followup/admin/templates").json()["data"][0]
    assert admin_api.put(path, listed, format="json").status_code == 200  # what is read can be sent back
    assert (
        admin_api.put(path, {**listed, "tamil_name": "", "description": ""}, format="json").status_code == 200
    )
    assert admin_api.put(path, {"name": ""}, format="json").json()["errors"].keys() == {"name"}
    follow_up = FollowUpSchedule.objects.get()
    cancel = f"/api/followup/admin/schedules/{follow_up.pk}/cancel"
    assert admin_api.post(cancel).json()["credits_refunded"] == 5


def test_orig_79_what_is_booked_is_not_called_sent_and_can_not_be_bought_twice(
    rich_user: User, user_api: APIClient, make_template: Any
) -> None:
    make_template(channel="email")
    session = SessionFactory(user=rich_user, completed=True)
    path = f"/api/followup/email/{session.pk}"
    booked = user_api.post(path).json()
    assert booked["status"] == "pending"
    assert "sent" not in booked["message"].lower()
    # After a reload the page finds it again.
    found = user_api.get(f"/api/followup/my-followups?session_id={session.pk}").json()["data"]
    assert [item["id"] for item in found] == [booked["followup_id"]]
    assert user_api.post(path).status_code == 400
    assert balance_of(rich_user) == 95


def test_orig_80_there_is_a_follow_up_center(
    rich_user: User, browser: Client, schedule: Any, make_template: Any
) -> None:
    follow_up_id = schedule(make_template(), 5).json()["followup_id"]
    page = browser.get(CENTER)
    assert page.status_code == 200
    assert f"Dear {rich_user.name}, how are you?" in text_of(page)
    assert browser.post(f"/followups/{follow_up_id}/cancel").status_code == 302
    assert "Cancelled" in text_of(browser.get(CENTER))
    assert balance_of(rich_user) == 100
    User.objects.filter(pk=rich_user.pk).update(preferred_language="ta")
    assert "உங்கள் செய்திகள்" in text_of(browser.get(CENTER))
    anonymous = Client().get(CENTER)
    assert (anonymous.status_code, anonymous.headers["Location"]) == (302, "/accounts/login?next=/followups/")
