"""Replies by SMS and WhatsApp: proved, kept once as one word, and acted on."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils.timezone import now
from twilio.request_validator import RequestValidator

from credits.selectors import balance_of
from followups.addresses import hash_address
from followups.choices import ConsentDoor, State, SuppressionReason
from followups.models import ConsentEvent, FollowUpSchedule, InboundMessage, RecipientPreference, Suppression
from followups.receipts.answers import LARGEST_BODY
from followups.selectors.recipients import reachability
from followups.services.consent import choose_channels, opt_out, suppress
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import User
from tests.factories import UserFactory
from tests.followups.consent.conftest import ACCOUNT, INBOUND, PHONE

pytestmark = pytest.mark.django_db
EMPTY = "<Response />"


def text_of(answer: Any) -> str:
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/xml; charset=utf-8")
    return str(answer.content.decode().partition("?>")[2])


def off(user: User) -> list[str]:
    preference = RecipientPreference.objects.filter(user=user).first()
    return preference.channels_off if preference else []


@pytest.mark.parametrize("word", ["STOP", "stop.", "நிறுத்துங்கள்"])
@pytest.mark.parametrize("channel", ["sms", "whatsapp"])
def test_stop_opts_out_everybody_with_the_number_on_that_channel_only(
    rich_user: User, sharer: User, reply: Any, word: str, channel: str
) -> None:
    reply(word, channel=channel)
    stopped = Suppression.objects.get()
    assert (stopped.channel, stopped.address_hash, stopped.reason) == (
        channel,
        hash_address(PHONE),
        "stop_word",
    )
    assert off(rich_user) == off(sharer) == [channel]
    doors = set(ConsentEvent.objects.values_list("kind", "channel", "door"))
    assert doors == {("opt_out", channel, "reply")}
    assert ConsentEvent.objects.count() == 3


def test_what_waits_on_the_channel_is_refunded_at_its_time(
    rich_user: User, make_template: Any, reply: Any, run_queue: Any
) -> None:
    schedule_follow_up(user=rich_user, template_id=make_template(channel="sms").pk, scheduled_at=now())
    reply("STOP")
    assert run_queue() == 1
    follow_up = FollowUpSchedule.objects.get()
    assert (follow_up.status, follow_up.failure_code, balance_of(rich_user)) == (
        State.FAILED,
        "opted_out",
        100,
    )


def test_start_lifts_what_stop_did(rich_user: User, sharer: User, reply: Any) -> None:
    reply("STOP")
    reply("தொடங்கு")
    assert (off(rich_user), off(sharer)) == ([], [])
    assert not Suppression.objects.exists()
    assert ConsentEvent.objects.filter(kind="opt_in", door="reply").count() == 3


def test_start_lifts_nothing_else(rich_user: User, sharer: User, reply: Any) -> None:
    opt_out(user=rich_user, channel="sms", door=ConsentDoor.PREFERENCES)
    reply("STOP")
    reply("YES")
    assert (off(rich_user), off(sharer)) == (["sms"], [])
    suppress(
        channel="sms", address_hash=hash_address(PHONE), reason=SuppressionReason.INVALID, source="21211"
    )
    reply("START")
    assert Suppression.objects.get().reason == "invalid"


def test_start_after_one_opted_out_otherwise_meanwhile_lifts_nothing(rich_user: User, reply: Any) -> None:
    reply("STOP")
    choose_channels(user=rich_user, channels_off=[], door=ConsentDoor.PREFERENCES)
    choose_channels(user=rich_user, channels_off=["sms"], door=ConsentDoor.PREFERENCES)
    reply("START")
    assert off(rich_user) == ["sms"]


def test_start_lifts_what_the_provider_told_of_a_stop(rich_user: User, reply: Any) -> None:
    suppress(
        channel="sms", address_hash=hash_address(PHONE), reason=SuppressionReason.OPT_OUT, source="21610"
    )
    reply("UNSTOP")
    assert not reachability(user=rich_user, channel="sms").refusals


def test_stop_outlives_a_new_owner_and_a_new_number(rich_user: User, reply: Any) -> None:
    reply("STOP")
    User.objects.filter(pk=rich_user.pk).update(phone="+919840054321")
    rich_user.refresh_from_db()
    assert reachability(user=rich_user, channel="sms").has_opted_out
    assert reachability(user=UserFactory(phone=PHONE), channel="sms").is_suppressed


@pytest.mark.parametrize(
    ("channel", "word", "answered"),
    [
        ("sms", "STOP", False), ("sms", "YES", False), ("sms", "HELP", False), ("sms", "info", False),
        ("sms", "நிறுத்து", True), ("sms", "ஆம்", True), ("sms", "உதவி", True),
        ("whatsapp", "STOP", True), ("whatsapp", "START", True), ("whatsapp", "HELP", True),
        ("sms", "Thank you", False), ("whatsapp", "நன்றி", False),
    ],
)  # fmt: skip
def test_what_twilio_answers_itself_is_not_answered_twice(
    rich_user: User, reply: Any, channel: str, word: str, answered: bool
) -> None:
    assert ("<Message>" in text_of(reply(word, channel=channel))) == answered


@pytest.mark.parametrize(("language", "word"), [("en", "உதவி"), ("ta", "உதவி")])
def test_help_is_answered_in_the_persons_language(
    rich_user: User, reply: Any, language: str, word: str
) -> None:
    User.objects.filter(pk=rich_user.pk).update(preferred_language=language)
    text = text_of(reply(word))
    assert ("follow-ups of your guidance sessions" in text) == (language == "en")
    assert ("ஆலோசனை" in text) == (language == "ta")
    assert "http://testserver/followups/" in text


@pytest.mark.parametrize(("opt_out_type", "kind"), [("STOP", "stop"), ("START", "start"), ("HELP", "help")])
def test_twilios_own_word_wins_over_the_text_and_is_not_answered(
    rich_user: User, reply: Any, opt_out_type: str, kind: str
) -> None:
    assert text_of(reply("ஏதோ", channel="whatsapp", OptOutType=opt_out_type)) == EMPTY
    heard = InboundMessage.objects.get()
    assert (heard.kind, heard.word) == (kind, opt_out_type)
    assert Suppression.objects.exists() == (kind == "stop")


def test_a_message_is_heard_once_however_often_it_comes(rich_user: User, reply: Any) -> None:
    assert "<Message>" in text_of(reply("நிறுத்து", MessageSid="SM1"))
    reply("START", MessageSid="SM2")
    assert text_of(reply("நிறுத்து", MessageSid="SM1")) == EMPTY
    assert off(rich_user) == []
    assert InboundMessage.objects.count() == 2


def test_nothing_but_the_word_and_a_hash_is_kept(rich_user: User, reply: Any) -> None:
    reply("My husband left me, what now?", ProfileName="Lakshmi Canary")
    heard = InboundMessage.objects.get()
    assert (heard.kind, heard.word) == ("other", "")
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(i)::text FROM follow_up_inbound i")
        (row,) = cursor.fetchone()
    assert not [part for part in ("husband", "Canary", PHONE, PHONE[1:]) if part in row]


def test_a_stranger_is_heard_and_told_nothing(reply: Any) -> None:
    for word in ("HELP", "உதவி", "நிறுத்து", "Hello"):
        assert text_of(reply(word, channel="whatsapp")) == EMPTY
    assert Suppression.objects.get().reason == "stop_word"
    assert ConsentEvent.objects.get().user is None


@pytest.mark.parametrize("change", [{"token": "guess"}, {"AccountSid": "AC2"}])
def test_a_forgery_writes_nothing(rich_user: User, reply: Any, change: dict[str, str]) -> None:
    assert reply("STOP", **change).status_code == 403
    assert not InboundMessage.objects.exists()
    assert not Suppression.objects.exists()


def test_an_unsigned_a_changed_and_a_too_large_message_write_nothing(rich_user: User, reply: Any) -> None:
    form = {"MessageSid": "SM1", "AccountSid": ACCOUNT, "From": PHONE, "Body": "Hello"}
    signature = RequestValidator("token").compute_signature(f"http://testserver{INBOUND}", form)
    headers = {"X-Twilio-Signature": signature}
    assert Client().post(INBOUND, form).status_code == 403
    assert Client().post(INBOUND, {**form, "Body": "STOP"}, headers=headers).status_code == 403
    assert reply("x" * LARGEST_BODY).status_code == 403
    assert Client().get(INBOUND).status_code == 405
    assert not InboundMessage.objects.exists()


def test_the_token_before_is_good_while_it_is_rotated(rich_user: User, reply: Any) -> None:
    assert reply("STOP", token="older").status_code == 200
    assert off(rich_user) == ["sms"]


@pytest.mark.parametrize(
    "change",
    [
        {"From": "messenger:12345"},
        {"From": ""},
        {"MessageSid": ""},
        {"MessageSid": "S" * 65},
        {"From": "56767"},
    ],
)
def test_what_is_no_readers_message_is_taken_and_left(reply: Any, change: dict[str, str]) -> None:
    assert text_of(reply("STOP", **change)) == EMPTY
    assert not InboundMessage.objects.exists()


def test_parallel_copies_of_one_message_act_once(
    transactional_db: None, reply: Any, in_parallel: Any
) -> None:
    user = UserFactory(phone=PHONE)
    answers = in_parallel(*[lambda: reply("நிறுத்து", MessageSid="SM1")] * 6)
    assert sorted("<Message>" in text_of(answer) for answer in answers) == [False] * 5 + [True]
    assert ConsentEvent.objects.filter(user=user).count() == 1


def test_parallel_stops_of_people_who_share_a_number_never_lock_each_other_out(
    transactional_db: None, reply: Any, in_parallel: Any
) -> None:
    users = [UserFactory(phone=PHONE) for _ in range(3)]
    answers = in_parallel(*[lambda word=word: reply(word) for word in ("STOP", "START") * 4])
    assert {answer.status_code for answer in answers} == {200}
    reply("STOP")
    assert [off(user) for user in users] == [["sms"]] * 3
