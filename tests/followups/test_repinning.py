"""A new version for what waits: on purpose, all or nothing for each message, and the price stays."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from credits.models import CreditEntry
from credits.services import grant
from followups.channels import get_channel
from followups.choices import State
from followups.composing import render_message
from followups.exceptions import NotProcessed
from followups.models import FollowUpSchedule, FollowUpTemplate, TemplateVersion
from followups.selectors.versions import reach_of_newest
from followups.services.delivery import deliver
from followups.services.dispatch import claim_due
from followups.services.repinning import Step, apply_version
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.services.templates import save_template
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import Conflict
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

NEW = {"content": "New words for {{user_name}}.", "tamil_content": "{{user_name}}, புதிய சொற்கள்."}


@pytest.fixture
def template(make_template: Any) -> FollowUpTemplate:
    """By email, for 5 credits."""
    update_settings(changes={"quiet_hours_start": "00:00", "quiet_hours_end": "00:00"})
    made: FollowUpTemplate = make_template(channel="email")
    return made


def book(template: FollowUpTemplate, user: User | None = None, **fields: Any) -> FollowUpSchedule:
    user = user or UserFactory()
    grant(user=user, amount=50, reason="test", key=f"for:{user.pk}")
    when = now() + timedelta(days=1)
    return schedule_follow_up(user=user, template_id=template.pk, scheduled_at=when, **fields)


def edit(template: FollowUpTemplate, **fields: Any) -> TemplateVersion:
    save_template(template=template, fields=NEW | fields)
    newest = template.versions.first()
    assert newest is not None
    return newest


def make_due() -> None:
    FollowUpSchedule.objects.filter(status=State.PENDING).update(due_at=now() - timedelta(seconds=1))


def test_what_waits_gets_the_new_words_at_the_old_price(template: FollowUpTemplate) -> None:
    follow_up = book(template)
    version = edit(template, credits_cost=30)
    entries = CreditEntry.objects.count()
    assert apply_version(version=version) == Step(changed=1, refused=0, last=None)
    follow_up = FollowUpSchedule.objects.get(pk=follow_up.pk)
    assert follow_up.template_version == version
    assert render_message(follow_up, is_private=True).body.startswith("New words for")
    assert (follow_up.credits_charged, CreditEntry.objects.count()) == (5, entries)
    assert apply_version(version=version) == Step(0, 0, None)


def test_only_what_waits_is_changed(template: FollowUpTemplate, run_queue: Any) -> None:
    sent = book(template)
    make_due()
    run_queue()
    under_way = book(template)
    make_due()
    (claim,) = claim_due(limit=10)
    before = {row["id"]: row for row in FollowUpSchedule.objects.values()}
    assert apply_version(version=edit(template)) == Step(0, 0, None)
    assert {row["id"]: row for row in FollowUpSchedule.objects.values()} == before
    deliver(follow_up_id=claim.follow_up_id, token=claim.token)
    for follow_up in (sent, under_way):
        follow_up.refresh_from_db()
        assert "how are you" in follow_up.message_sent


def test_another_template_s_follow_ups_stay(template: FollowUpTemplate, make_template: Any) -> None:
    other = book(make_template(channel="email", name="Other"))
    apply_version(version=edit(template))
    other.refresh_from_db()
    assert other.template_version.template == other.template


def test_what_a_provider_was_given_keeps_its_words(template: FollowUpTemplate, provider: Any) -> None:
    provider.script = [NotProcessed("busy")]
    follow_up = book(template)
    make_due()
    (claim,) = claim_due(limit=10)
    deliver(follow_up_id=claim.follow_up_id, token=claim.token)
    follow_up.refresh_from_db()
    assert (follow_up.status, follow_up.failure_code) == (State.PENDING, "busy")
    version = edit(template)
    assert apply_version(version=version).changed == 0
    reach = reach_of_newest(template)
    assert reach is not None
    assert (reach.changing, reach.kept) == (0, 1)


def test_the_language_follows_the_new_text(template: FollowUpTemplate) -> None:
    tamil = book(template, UserFactory(preferred_language="ta"))
    assert tamil.language == "ta"
    version = edit(template, tamil_content="", tamil_subject="")
    reach = reach_of_newest(template)
    assert reach is not None
    assert reach.in_english == 1
    apply_version(version=version)
    tamil.refresh_from_db()
    assert (tamil.language, tamil.wanted_language) == ("en", "ta")
    apply_version(version=edit(template, **NEW))
    tamil = FollowUpSchedule.objects.get(pk=tamil.pk)
    assert tamil.language == "ta"
    assert "புதிய சொற்கள்" in render_message(tamil, is_private=True).body


def test_what_the_channel_would_refuse_keeps_its_words(make_template: Any, settings: Any) -> None:
    sid = {"whatsapp_content_sid": "HX" + "0" * 32, "tamil_whatsapp_content_sid": "HX" + "1" * 32}
    template = make_template(channel="whatsapp", **sid)
    follow_up = book(template, UserFactory(phone="+919840012345"))
    settings.FOLLOWUP_CHANNELS = {
        **settings.FOLLOWUP_CHANNELS,
        "whatsapp": {
            "BACKEND": "followups.channels.whatsapp.WhatsAppChannel",
            "OPTIONS": {"account_sid": "AC", "auth_token": "x", "sender": "+14155550100"},
        },
    }
    get_channel.cache_clear()
    try:
        version = edit(template, whatsapp_content_sid="", tamil_whatsapp_content_sid="")
        assert apply_version(version=version) == Step(changed=0, refused=1, last=None)
    finally:
        get_channel.cache_clear()
    follow_up.refresh_from_db()
    assert follow_up.template_version.number == 1


def test_only_the_newest_version_is_applied(template: FollowUpTemplate) -> None:
    book(template)
    old = edit(template)
    edit(template, content="Newer still.")
    with pytest.raises(Conflict, match="changed meanwhile"):
        apply_version(version=old)
    FollowUpTemplate.objects.filter(pk=template.pk).update(channel="pigeon")
    newest = TemplateVersion.objects.order_by("-number")[0]
    with pytest.raises(Conflict, match="isn't in use"):
        apply_version(version=newest)


def test_a_template_on_another_channel_now_leaves_the_old_one_s_messages(template: FollowUpTemplate) -> None:
    by_mail = book(template)
    version = edit(template, channel="in_app")
    assert apply_version(version=version).changed == 0
    by_mail.refresh_from_db()
    assert by_mail.template_version.number == 1


def test_many_go_step_by_step_and_cost_no_query_each(template: FollowUpTemplate) -> None:
    for _ in range(5):
        book(template)
    version = edit(template)

    def queries(limit: int, after: Any) -> tuple[Step, int]:
        with CaptureQueriesContext(connection) as captured:
            return apply_version(version=version, after=after, limit=limit), len(captured)

    step, _ = queries(1, None)
    step, few = queries(1, step.last)
    assert (step.changed, step.last is None) == (1, False)
    step, many = queries(4, step.last)
    assert (step, many) == (Step(3, 0, None), few)


def test_what_lacks_a_new_value_is_told(template: FollowUpTemplate) -> None:
    edit(template, content="{{wish}}", tamil_content="{{wish}}", variables=["wish"])
    book(template, custom_variables={"wish": "peace"})
    text = "{{wish}} and {{hope}}"
    edit(template, content=text, tamil_content=text, variables=["wish", "hope"])
    reach = reach_of_newest(template)
    assert reach is not None
    assert (reach.older, reach.without_value) == ([(2, 1)], [("hope", 1)])


@pytest.mark.django_db(transaction=True)
def test_a_claim_passes_by_what_is_being_changed(template: FollowUpTemplate, in_parallel: Any) -> None:
    book(template)
    make_due()
    version = edit(template)
    with transaction.atomic():
        assert apply_version(version=version).changed == 1
        assert in_parallel(lambda: claim_due(limit=10)) == [[]]
    (claim,) = claim_due(limit=10)
    deliver(follow_up_id=claim.follow_up_id, token=claim.token)
    assert "New words" in FollowUpSchedule.objects.get().message_sent


@pytest.mark.django_db(transaction=True)
def test_while_messages_go_out_none_is_half_old_half_new(
    template: FollowUpTemplate, in_parallel: Any, provider: Any
) -> None:
    for number in range(40):
        book(template, UserFactory(preferred_language=["en", "ta"][number % 2]))
    version = edit(template, tamil_content="", tamil_subject="", content="New words.", subject="New")
    make_due()

    def send() -> None:
        while claims := claim_due(limit=3):
            for claim in claims:
                deliver(follow_up_id=claim.follow_up_id, token=claim.token)

    def change() -> int:
        changed, after = 0, None
        while True:
            step = apply_version(version=version, after=after, limit=3)
            changed, after = changed + step.changed, step.last
            if after is None:
                return changed

    _, _, changed = in_parallel(send, send, change)
    send()
    for follow_up in FollowUpSchedule.objects.select_related("template_version"):
        is_new = follow_up.template_version == version
        told = (follow_up.language, follow_up.subject_sent, follow_up.message_sent)
        if is_new:
            assert told == ("en", "New", "New words.")
        else:
            word = {"en": "how are you", "ta": "நலமா"}[follow_up.language]
            assert word in follow_up.message_sent
            assert follow_up.language == follow_up.wanted_language
        assert follow_up.status == State.SENT
    assert len(provider.taken) == 40
    assert changed == FollowUpSchedule.objects.filter(template_version=version).count()
