"""The unsubscribe link: GET shows, POST acts (RFC 8058), and one can come back."""

import re
from typing import Any

import pytest
from django.test import Client

from followups.addresses import hash_address
from followups.links import come_back_path, read_come_back_token, read_unsubscribe_token, unsubscribe_url
from followups.models import ConsentEvent, RecipientPreference, SandboxMessage, Suppression
from followups.selectors.recipients import reachability
from followups.services.consent import opt_out
from followups.services.scheduling import send_now
from jyotiflow.accounts.models import User
from tests.factories import SessionFactory

pytestmark = pytest.mark.django_db
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def path_of(user: User, channel: str = "email") -> str:
    address = user.email if channel == "email" else user.phone
    return local(unsubscribe_url(user_id=user.pk, channel=channel, address_hash=hash_address(address)))


def local(url: str) -> str:
    return url.removeprefix("http://testserver")


def back_from(page: Any) -> str:
    (path,) = re.findall(r'action="(/u/back/[^"]+)"', page.content.decode())
    return path


def is_off(user: User) -> bool:
    return bool(reachability(user=user, channel="email").refusals)


def test_get_acts_on_nothing_and_one_post_is_enough(user: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    page = browser.get(path_of(user))
    assert page.status_code == 200
    assert b"<form" in page.content
    assert browser.head(path_of(user)).status_code == 200
    assert not RecipientPreference.objects.exists()
    answer = browser.post(path_of(user), ONE_CLICK)
    assert (answer.status_code, dict(answer.cookies)) == (200, {})
    assert RecipientPreference.objects.get().channels_off == ["email"]
    assert Suppression.objects.get().reason == "unsubscribed"


@pytest.mark.parametrize(("body", "wording"), [(ONE_CLICK, "one-click"), ({}, "unsubscribe page 1")])
def test_how_one_left_is_on_record_once(user: User, body: dict[str, str], wording: str) -> None:
    for _ in range(2):
        assert Client().post(path_of(user), body).status_code == 200
    recorded = ConsentEvent.objects.order_by("pk").values_list("kind", "channel", "door", "user", "wording")
    assert list(recorded) == [
        ("opt_out", "email", "link", user.pk, wording),
        ("opt_out", "email", "link", None, wording),
    ]
    assert ConsentEvent.objects.filter(address_hash=hash_address(user.email)).count() == 1


def test_the_link_in_a_mail_works_after_the_email_changed(
    rich_user: User, make_template: Any, run_queue: Any
) -> None:
    make_template(channel="email")
    session = SessionFactory(user=rich_user, completed=True)
    send_now(user=rich_user, session_id=session.pk, channel="email")
    run_queue()
    header = SandboxMessage.objects.get().headers["List-Unsubscribe"]
    old = rich_user.email
    assert old not in header
    User.objects.filter(pk=rich_user.pk).update(email="new@example.test")
    assert Client().post(local(header.strip("<>")), ONE_CLICK).status_code == 200
    rich_user.refresh_from_db()
    assert is_off(rich_user)
    assert Suppression.objects.get().address_hash == hash_address(old)


def test_a_link_from_before_addresses_were_in_it_stops_todays(user: User) -> None:
    path = local(unsubscribe_url(user_id=user.pk, channel="email"))
    assert Client().post(path).status_code == 200
    assert Suppression.objects.get().address_hash == hash_address(user.email)


@pytest.mark.parametrize(("language", "button"), [("en", "I changed my mind"), ("ta", "மனம் மாறிவிட்டது")])
def test_one_can_come_back_from_the_page_that_says_it_is_done(user: User, language: str, button: str) -> None:
    User.objects.filter(pk=user.pk).update(preferred_language=language)
    browser = Client(enforce_csrf_checks=True)
    done = browser.post(path_of(user))
    assert button in done.content.decode()
    path = back_from(done)
    assert browser.get(path).status_code == 200
    assert is_off(user)
    assert browser.post(path).status_code == 200
    assert not is_off(user)
    assert not Suppression.objects.exists()
    assert [each.kind for each in ConsentEvent.objects.order_by("pk")] == ["opt_out"] * 2 + ["opt_in"] * 2
    assert "action=" not in browser.post(path).content.decode()  # nothing is left to take back


def test_the_link_takes_back_only_what_the_link_did(user: User) -> None:
    opt_out(user=user, channel="email")  # in the preferences, signed in
    done = Client().post(path_of(user))
    assert "/u/back/" not in done.content.decode()
    wish = read_unsubscribe_token(path_of(user).removeprefix("/u/"))
    assert wish
    Client().post(come_back_path(wish))
    assert is_off(user)


def test_no_link_lifts_a_complaint(user: User) -> None:
    browser = Client()
    path = back_from(browser.post(path_of(user)))
    Suppression.objects.update(reason="complaint")
    browser.post(path)
    assert reachability(user=user, channel="email").is_suppressed


def test_a_token_of_one_purpose_is_none_of_another(user: User) -> None:
    token = path_of(user).removeprefix("/u/")
    wish = read_unsubscribe_token(token)
    assert wish
    back = come_back_path(wish).removeprefix("/u/back/")
    assert read_come_back_token(back) == wish
    assert read_come_back_token(token) is None
    assert read_unsubscribe_token(back) is None
    assert Client().post(f"/u/back/{token}").status_code == 404
    assert Client().post(f"/u/{back}").status_code == 404


@pytest.mark.parametrize(
    "forge", [lambda path, pk: path.replace(f"{pk}-email", f"{pk}-sms"), lambda path, _: path[:-1]]
)
def test_a_forged_link_does_nothing(user: User, forge: Any) -> None:
    assert Client().post(forge(path_of(user), user.pk)).status_code == 404
    assert not RecipientPreference.objects.exists()


def test_the_link_of_a_user_who_is_gone_is_no_link(user: User) -> None:
    path = path_of(user)
    user.delete()
    assert Client().post(path).status_code == 404
