"""Wishes, signed in and by link; credits; one's data."""

import json
from datetime import time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import localdate, now

from credits.selectors import balance_of
from credits.services import grant
from followups.addresses import hash_address
from followups.choices import SuppressionReason
from followups.links import link_preferences_path, read_unsubscribe_token, unsubscribe_url
from followups.models import ConsentEvent, FollowUpSchedule, RecipientPreference
from followups.selectors.preferences import preferences_of
from followups.services.consent import opt_out, suppress
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import User
from sessions_app.models import Session
from tests.factories import PASSWORD, UserFactory
from tests.followups.web.conftest import text_of

pytestmark = pytest.mark.django_db
PREFERENCES = "/followups/preferences"
AS_IT_IS: dict[str, Any] = {
    "preferred_language": "en",
    "timezone": "Asia/Kolkata",
    "phone": "+919840012345",
    "channels": ["email", "sms", "whatsapp", "push", "in_app"],
    "quiet": "usual",
    "quiet_start": "",
    "quiet_end": "",
    "paused_until": "",
}


def save(client: Client, **changes: Any) -> Any:
    return client.post(PREFERENCES, {**AS_IT_IS, **changes}, follow=True)


def test_the_form_shows_the_wishes_and_saving_them_as_they_are_changes_nothing(
    reader: Client, rich_user: User
) -> None:
    page = reader.get(PREFERENCES).content.decode()
    assert '<option value="Asia/Kolkata" selected>' in page
    assert 'value="+919840012345"' in page
    assert page.count("checked") == 2 + 5  # language, quiet hours, every channel
    assert "Your preferences are saved." in text_of(save(reader))
    assert not ConsentEvent.objects.exists()
    assert preferences_of(rich_user).quiet_hours is None


def test_every_wish_is_kept(reader: Client, rich_user: User) -> None:
    morning = localdate() + timedelta(days=20)
    save(
        reader,
        preferred_language="ta",
        timezone="Europe/London",
        phone="+44 7400 123456",
        channels=["email", "in_app"],
        quiet="own",
        quiet_start="22:00",
        quiet_end="06:30",
        paused_until=morning.isoformat(),
    )
    wishes = preferences_of(rich_user)
    assert (wishes.preferred_language, wishes.timezone, wishes.phone) == (
        "ta",
        "Europe/London",
        "+447400123456",
    )
    assert {name for name, is_on in wishes.channels.items() if is_on} == {"email", "in_app"}
    assert wishes.quiet_hours == (time(22), time(6, 30))
    assert wishes.paused_until
    assert wishes.paused_until.astimezone(rich_user.zone).date() == morning  # as the page showed the day
    event = ConsentEvent.objects.filter(channel="sms").get()
    assert (event.kind, event.door, event.wording) == ("opt_out", "preferences", "preferences page 1")


def test_quiet_hours_can_be_none_and_usual_again(reader: Client, rich_user: User) -> None:
    save(reader, quiet="none")
    assert preferences_of(rich_user).quiet_hours == (time(0), time(0))
    assert 'value="none" id="id_quiet_2" checked' in reader.get(PREFERENCES).content.decode().replace(
        " required", ""
    )
    save(reader, quiet="usual")
    assert preferences_of(rich_user).quiet_hours is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"phone": "98400"}, "Please write it with + and the country code"),
        ({"timezone": "Mars/Olympus"}, "Please choose one of these."),
        ({"preferred_language": "fr"}, "Please choose one of these."),
        ({"quiet": "own"}, "Please fill this in."),
        (
            {"quiet": "own", "quiet_start": "10:00", "quiet_end": "10:00"},
            "Please choose two different times.",
        ),
        ({"paused_until": "2020-01-01"}, "Please choose a day within the next year."),
        ({"paused_until": "never"}, "Please choose a day."),
    ],
)
def test_a_bad_wish_is_refused_beside_its_field_and_nothing_is_kept(
    reader: Client, rich_user: User, changes: dict[str, Any], told: str
) -> None:
    page = save(reader, channels=["email"], **changes)
    assert told in text_of(page)
    assert "Please look at the marked fields." in text_of(page)
    assert not RecipientPreference.objects.filter(user=rich_user).exists()


def test_pages_follow_a_new_language_of_messages(reader: Client) -> None:
    reader.get("/language/en")
    page = save(reader, preferred_language="ta")
    assert "உங்கள் விருப்பங்களைச் சேமித்துவிட்டோம்." in text_of(page)
    reader.get("/language/en")  # and another may be chosen for the pages again
    assert "Preferences" in text_of(reader.get(PREFERENCES))


def test_why_nothing_would_arrive_stands_beside_the_channel(reader: Client, rich_user: User) -> None:
    User.objects.filter(pk=rich_user.pk).update(phone="")
    said = text_of(reader.get(PREFERENCES))
    assert said.count("Please give your phone number above.") == 2
    assert said.count("No phone or browser of yours is set up for notifications.") == 1
    suppress(
        channel="email",
        address_hash=hash_address(rich_user.email),
        reason=SuppressionReason.COMPLAINT,
        source="test",
    )
    assert "Messages to your address on this channel are stopped." in text_of(reader.get(PREFERENCES))


def test_one_s_time_zone_outside_the_list_stays(reader: Client, rich_user: User) -> None:
    User.objects.filter(pk=rich_user.pk).update(timezone="Etc/GMT+5")
    assert '<option value="Etc/GMT+5" selected>' in reader.get(PREFERENCES).content.decode()
    save(reader, timezone="Etc/GMT+5")
    assert preferences_of(rich_user).timezone == "Etc/GMT+5"


# --- By link, without signing in -------------------------------------------------------------------------


def link_of(user: User) -> str:
    page = Client().get(unsubscribe_url(user_id=user.pk, channel="email").removeprefix("http://testserver"))
    wish = read_unsubscribe_token(unsubscribe_url(user_id=user.pk, channel="email").rpartition("/")[2])
    assert wish
    assert link_preferences_path(wish) in page.content.decode()  # one click from any mail
    return link_preferences_path(wish)


def test_a_link_stops_channels_pauses_and_chooses_the_language(rich_user: User) -> None:
    path = link_of(rich_user)
    browser = Client(enforce_csrf_checks=True)
    page = browser.get(path)
    assert "You need not sign in here." in text_of(page)
    for secret in (rich_user.email, rich_user.phone, rich_user.name):
        assert secret not in page.content.decode()
    day = (localdate() + timedelta(days=3)).isoformat()
    answer = browser.post(path, {"preferred_language": "ta", "stop": ["sms"], "paused_until": day})
    assert (answer.status_code, dict(answer.cookies)) == (200, {})
    wishes = preferences_of(rich_user)
    assert (wishes.preferred_language, wishes.channels["sms"], wishes.channels["email"]) == (
        "ta",
        False,
        True,
    )
    assert wishes.paused_until
    event = ConsentEvent.objects.get()
    assert (event.door, event.wording) == ("link", "link preferences page 1")


def test_a_link_starts_nothing_again(rich_user: User) -> None:
    opt_out(user=rich_user, channel="sms")
    page = Client().post(link_of(rich_user), {"preferred_language": "en", "stop": [], "paused_until": ""})
    assert "Switched off already: SMS." in text_of(page)
    assert preferences_of(rich_user).channels["sms"] is False
    refused = Client().post(link_of(rich_user), {"preferred_language": "en", "stop": ["sms"]})
    assert refused.status_code == 200
    assert ConsentEvent.objects.count() == 1


def test_a_link_of_another_purpose_or_of_somebody_gone_opens_nothing(rich_user: User) -> None:
    path = link_of(rich_user)
    assert Client().get(path[:-1]).status_code == 404
    unsubscribe = unsubscribe_url(user_id=rich_user.pk, channel="email").rpartition("/")[2]
    assert Client().post(f"/u/preferences/{unsubscribe}").status_code == 404
    assert Client().get(f"/u/{path.rpartition('/')[2]}").status_code == 404
    User.objects.filter(pk=rich_user.pk).update(is_active=False)
    assert Client().get(path).status_code == 404


# --- Credits and data ------------------------------------------------------------------------------------


def test_the_statement_tells_what_moved_the_balance(
    reader: Client, rich_user: User, session: Session, make_template: Any
) -> None:
    booked = schedule_follow_up(
        user=rich_user,
        template_id=make_template().pk,
        session_id=session.pk,
        scheduled_at=now() + timedelta(days=2),
    )
    page = reader.get("/followups/credits")
    said = text_of(page)
    assert "Your balance 95 credits" in said
    assert said.index("Spent on a follow-up") < said.index("Added test")
    assert ("−5 95" in said, "+100 100" in said) == (True, True)
    assert f'href="/followups/{booked.pk}"' in page.content.decode()


def test_the_statement_has_pages_and_asks_no_more_for_them(reader: Client, rich_user: User) -> None:
    with CaptureQueriesContext(connection) as before:
        reader.get("/followups/credits")
    for number in range(40):
        grant(user=rich_user, amount=1, reason="test", key=f"more:{number}")
    with CaptureQueriesContext(connection) as after:
        assert "Page 1 of 2" in text_of(reader.get("/followups/credits"))
    assert len(after) == len(before)


def test_one_s_data_comes_as_a_file(reader: Client, rich_user: User) -> None:
    answer = reader.post("/followups/data/export")
    assert answer["Content-Disposition"] == 'attachment; filename="jyotiflow-data.json"'
    assert json.loads(answer.content)["profile"]["email"] == rich_user.email
    assert reader.get("/followups/data/export").status_code == 405


def test_erasing_names_what_is_lost_and_asks_for_the_password(
    reader: Client, rich_user: User, session: Session, make_template: Any
) -> None:
    schedule_follow_up(
        user=rich_user,
        template_id=make_template().pk,
        session_id=session.pk,
        scheduled_at=now() + timedelta(days=2),
    )
    path = "/followups/data/erase"
    said = text_of(reader.get(path))
    for part in ("guidance of 1 session", "1 message that is still scheduled", "100 credits that you have"):
        assert part in said
    assert "The password is wrong." in text_of(reader.post(path, {"password": "x", "understood": "on"}))
    assert "Please tick this to go on." in text_of(reader.post(path, {"password": PASSWORD}))
    assert User.objects.get(pk=rich_user.pk).is_active
    done = reader.post(path, {"password": PASSWORD, "understood": "on"}, follow=True)
    assert "Your account is closed and your data is erased." in text_of(done)
    assert User.objects.get(pk=rich_user.pk).erased_at
    assert FollowUpSchedule.objects.get().status == "cancelled"
    assert balance_of(rich_user) == 100
    assert reader.get("/followups/").status_code == 302


def test_staff_can_not_erase_themselves(staff: User) -> None:
    client = Client()
    client.force_login(staff)
    said = text_of(client.get("/followups/data/erase"))
    assert "You are staff" in said
    body = {"password": PASSWORD, "understood": "on"}
    assert "You are staff" in text_of(client.post("/followups/data/erase", body))
    assert User.objects.get(pk=staff.pk).is_active


def test_guessing_the_password_has_a_limit(reader: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jyotiflow.accounts.limits.UserThrottle.rate", "2/min", raising=False)
    body = {"password": "x", "understood": "on"}
    answers = [reader.post("/followups/data/erase", body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[-1]["Retry-After"]) > 0


@pytest.mark.parametrize("path", ["", "inbox", "credits", "preferences", "data", "data/erase", "others"])
def test_every_page_is_for_the_signed_in(path: str) -> None:
    answer = Client().get(f"/followups/{path}")
    assert (answer.status_code, answer["Location"]) == (302, f"/accounts/login?next=/followups/{path}")


@pytest.mark.parametrize("path", ["", "inbox", "credits", "preferences", "data", "data/erase"])
def test_no_page_asks_more_than_fifty_questions(path: str) -> None:
    client = Client()
    client.force_login(UserFactory())
    with CaptureQueriesContext(connection) as captured:
        assert client.get(f"/followups/{path}").status_code == 200
    assert len(captured) <= 50
