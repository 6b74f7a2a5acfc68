"""Forged, replayed and tampered callbacks: refused, and not one row of any table changes."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.utils.timezone import now
from pytest_django import Settings

from followups.channels import get_channel
from followups.choices import State
from followups.models import FollowUpSchedule, ProviderEvent
from followups.receipts.answers import LARGEST_BODY
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from jyotiflow.accounts.models import User
from tests.followups.callbacks import (
    ACCOUNT,
    SIGNING_KEY,
    TOKEN,
    WEBHOOK_SECRET,
    Callback,
    basic,
    mailgun_callback,
    twilio_callback,
)

pytestmark = pytest.mark.django_db

SID = f"SM{9:032x}"
OTHER_ACCOUNT = f"AC{8:032x}"


@pytest.fixture
def sent(rich_user: User, make_template: Any, settings: Settings, run_queue: Any) -> Iterator[dict[str, str]]:
    """One SMS and one mail on their way; the attempt of each."""
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = ACCOUNT, TOKEN
    settings.EMAIL_ESP = "mailgun"
    settings.ANYMAIL = {"WEBHOOK_SECRET": WEBHOOK_SECRET, "MAILGUN_WEBHOOK_SIGNING_KEY": SIGNING_KEY}
    settings.FOLLOWUP_CHANNELS = {
        **settings.FOLLOWUP_CHANNELS,
        **{
            channel: {
                "BACKEND": "tests.followups.conftest.ScriptedChannel",
                "OPTIONS": {"provider": provider},
            }
            for channel, provider in (("sms", "twilio"), ("email", "mailgun"))
        },
    }
    get_channel.cache_clear()
    update_settings(changes={"min_interval_hours": 0})
    for channel in ("sms", "email"):
        template = make_template(channel=channel, name=channel)
        schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=now())
    assert run_queue() == 2
    yield {row.channel: str(row.attempts.get().pk) for row in FollowUpSchedule.objects.all()}
    get_channel.cache_clear()


def everything() -> dict[str, tuple[int, str]]:
    """Every table's number of rows and a digest of what is in them."""
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            whole_rows = f"SELECT t::text AS row FROM {connection.ops.quote_name(table)} AS t"
            cursor.execute(
                f"SELECT count(*), md5(string_agg(row, ',' ORDER BY row)) FROM ({whole_rows}) AS t"
            )
            found[table] = cursor.fetchone()
    return found


def delivered(sent: dict[str, str], **fields: str) -> Callback:
    return twilio_callback("delivered", attempt=sent["sms"], sid=SID, **fields)


def changed(callback: Callback, **fields: str) -> Callback:
    """The form with other words in it, under the old signature."""
    return callback.but(body=callback.body + b"&" + urlencode(fields).encode())


TWILIO: dict[str, Callable[[dict[str, str]], Callback]] = {
    "no signature": lambda sent: delivered(sent).with_header("X-Twilio-Signature", None),
    "an empty signature": lambda sent: delivered(sent).with_header("X-Twilio-Signature", ""),
    "a signature of nothing": lambda sent: delivered(sent).with_header("X-Twilio-Signature", "AAAA"),
    "a signature that is no base64": lambda sent: delivered(sent).with_header("X-Twilio-Signature", "é"),
    "another's token": lambda sent: delivered(sent, token="not-the-token"),
    "an empty token": lambda sent: delivered(sent, token=""),
    "another account's SID": lambda sent: delivered(sent, account=OTHER_ACCOUNT),
    "no account": lambda sent: delivered(sent, account=""),
    "two accounts, ours the second": lambda sent: changed(
        delivered(sent, account=OTHER_ACCOUNT), AccountSid=ACCOUNT
    ),
    "another status": lambda sent: changed(delivered(sent), MessageStatus="failed"),
    "another message": lambda sent: changed(delivered(sent), MessageSid=f"SM{1:032x}"),
    "a field more": lambda sent: changed(delivered(sent), ErrorCode="30004"),
    "a field less": lambda sent: delivered(sent).but(body=delivered(sent).body.replace(b"SmsSid", b"Smssid")),
    "no body": lambda sent: delivered(sent).but(body=b""),
    "another attempt": lambda sent: delivered(sent).but(
        path=delivered(sent).path.replace(sent["sms"], sent["email"])
    ),
    "an attempt in two ways": lambda sent: delivered(sent).but(
        path=f"{delivered(sent).path}&a={sent['email']}"
    ),
    "no attempt": lambda sent: delivered(sent).but(path="/api/followup/receipts/twilio"),
    "a signature over another host": lambda sent: delivered(sent, site="http://localhost").with_header(
        "Host", "localhost"
    ),
    "a signature for plain JSON": lambda sent: delivered(sent).but(
        body=json.dumps({"AccountSid": ACCOUNT, "MessageSid": SID, "MessageStatus": "delivered"}).encode(),
        content_type="application/json",
    ),
    "a body too large, well signed": lambda sent: delivered(sent, Padding="x" * LARGEST_BODY),
    "a length that is none": lambda sent: delivered(sent).but(extra={"CONTENT_LENGTH": "many"}),
}
MAIL: dict[str, Callable[[dict[str, str]], Callback]] = {
    "no secret": lambda sent: mail(sent).with_header("Authorization", None),
    "an empty secret": lambda sent: mail(sent).with_header("Authorization", basic(":")),
    "another secret": lambda sent: mail(sent).with_header("Authorization", basic("followups:guessed")),
    "a secret's beginning": lambda sent: mail(sent).with_header("Authorization", basic(WEBHOOK_SECRET[:-1])),
    "another scheme": lambda sent: mail(sent).with_header("Authorization", f"Bearer {WEBHOOK_SECRET}"),
    "no base64": lambda sent: mail(sent).with_header("Authorization", "Basic %%%"),
    "the secret, but another's signature": lambda sent: mail(sent, key="not-the-key"),
    "the secret, but no signature": lambda sent: mail(sent).but(
        body=b'{"event-data": {"event": "delivered"}}'
    ),
    "the secret, but no JSON": lambda sent: mail(sent).but(body=b"delivered"),
    "the secret, but another time": lambda sent: mail(sent).but(
        body=mail(sent).body.replace(b'"timestamp": "', b'"timestamp": "9')
    ),
    "the secret, but another token": lambda sent: mail(sent).but(
        body=mail(sent).body.replace(b'"token": "0', b'"token": "1')
    ),
    "the secret, but a form": lambda sent: mail(sent).but(
        body=b"event=delivered&token=1&timestamp=1&signature=1",
        content_type="application/x-www-form-urlencoded",
    ),
    "another service": lambda sent: mail(sent).but(path="/api/followup/receipts/email/postmark"),
    "a service there is not": lambda sent: mail(sent).but(path="/api/followup/receipts/email/base"),
}


def mail(sent: dict[str, str], **fields: Any) -> Callback:
    return mailgun_callback("delivered", attempt=sent["email"], at=now().timestamp(), number=1, **fields)


@pytest.mark.parametrize("forge", TWILIO.values(), ids=TWILIO.keys())
def test_a_forged_callback_of_twilio_changes_nothing(sent: dict[str, str], forge: Any) -> None:
    before = everything()
    assert forge(sent).send(Client()) == 403
    assert everything() == before


@pytest.mark.parametrize("forge", MAIL.values(), ids=MAIL.keys())
def test_a_forged_event_of_a_mail_service_changes_nothing(sent: dict[str, str], forge: Any) -> None:
    before = everything()
    assert forge(sent).send(Client()) == 403
    assert everything() == before


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_only_a_post_reports(sent: dict[str, str], method: str) -> None:
    before = everything()
    for genuine in (delivered(sent), mail(sent)):
        assert genuine.but(method=method).send(Client()) == 405
    assert everything() == before


def test_a_mail_events_body_has_an_end(sent: dict[str, str]) -> None:
    before = everything()
    assert mail(sent, padding="x" * 3_000_000).send(Client()) in (400, 403)
    assert everything() == before


def test_without_our_own_secrets_nothing_is_genuine(sent: dict[str, str], settings: Settings) -> None:
    calls = [delivered(sent, token=""), delivered(sent), mail(sent)]
    settings.TWILIO_AUTH_TOKEN = ""
    settings.ANYMAIL = {"MAILGUN_WEBHOOK_SIGNING_KEY": SIGNING_KEY}
    before = everything()
    assert [call.send(Client()) for call in calls] == [403, 403, 403]
    assert everything() == before


def test_a_genuine_one_counts_once_and_replayed_changes_nothing(sent: dict[str, str]) -> None:
    for genuine in (delivered(sent), mail(sent)):
        assert genuine.send(Client()) == 200
    assert set(FollowUpSchedule.objects.values_list("status", flat=True)) == {State.DELIVERED}
    after = everything()
    for genuine in (delivered(sent), mail(sent)) * 3:
        assert genuine.send(Client()) == 200
    assert everything() == after


def test_a_known_event_with_other_words_in_it_changes_nothing(sent: dict[str, str]) -> None:
    """Mailgun signs its token, not its words: whoever overhears one can't say something else with it."""
    heard = mail(sent)
    assert heard.send(Client()) == 200
    after = everything()
    for word in (b"failed", b"complained", b"unsubscribed"):
        body = heard.body.replace(b'"event": "delivered"', b'"event": "%s"' % word)
        assert body != heard.body
        assert heard.but(body=body).send(Client()) == 200
    assert everything() == after


def test_the_token_before_this_one_is_good_while_it_is_rotated(
    sent: dict[str, str], settings: Settings
) -> None:
    settings.TWILIO_AUTH_TOKEN, settings.TWILIO_AUTH_TOKEN_PREVIOUS = "the-next-token", TOKEN
    assert delivered(sent).send(Client()) == 200
    assert FollowUpSchedule.objects.get(channel="sms").status == State.DELIVERED


@pytest.mark.parametrize("reference", ["", "nonsense", "00000000-0000-4000-8000-000000000000"])
def test_what_is_about_nothing_of_ours_is_kept_aside(sent: dict[str, str], reference: str) -> None:
    rows = {table: content for table, content in everything().items() if table != "follow_up_events"}
    stranger = twilio_callback("delivered", attempt=reference, sid=f"SM{1:032x}")
    assert stranger.send(Client()) == 200
    unknown = mailgun_callback(
        "delivered",
        attempt=reference,
        at=now().timestamp(),
        number=2,
        message={"headers": {"message-id": "nobody@mg.example.test"}},
    )
    assert unknown.send(Client()) == 200
    kept = ProviderEvent.objects.all()
    assert {(event.attempt_id, event.applied_at) for event in kept} == {(None, None)}
    assert {table: content for table, content in everything().items() if table != "follow_up_events"} == rows
