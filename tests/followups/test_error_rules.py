"""Error rules: what is shipped, what an admin edits, what nobody knows."""

from typing import Any
from urllib.parse import urlparse

import pytest
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse
from structlog.testing import capture_logs

from followups.channels.meanings import known_rule, meaning
from followups.channels.verdicts import SHIPPED, exception_of
from followups.choices import ErrorPhase, ErrorWord, RuleOrigin, SuppressionReason
from followups.exceptions import NotProcessed, Rejected
from followups.models import ErrorRule
from followups.services.error_rules import load_shipped_rules, restore_shipped_rules, save_edited_rule

pytestmark = pytest.mark.django_db

CALL, REPORT = ErrorPhase.CALL, ErrorPhase.REPORT
INVALID = ("twilio", "21211")
NEW = ("twilio", "29999")


def edit(provider: str, code: str, phase: ErrorPhase = CALL, **changes: Any) -> ErrorRule:
    row = ErrorRule.objects.filter(provider=provider, phase=phase, code=code).first()
    row = row or ErrorRule(provider=provider, phase=phase, code=code, sentence="As told.")
    for name, value in changes.items():
        setattr(row, name, value)
    return save_edited_rule(row=row)


def test_what_is_shipped_can_be_stored_and_is_documented() -> None:
    assert load_shipped_rules() == len(SHIPPED) == ErrorRule.objects.count()
    for row in ErrorRule.objects.all():
        row.full_clean()
        assert urlparse(row.docs_url).scheme == "https", row
        assert not row.sentence or row.sentence.endswith("."), row
        assert row.code in row.docs_url or row.provider != "twilio" or row.note or "2050" in row.code, row


def test_loading_again_changes_nothing_and_leaves_what_was_edited() -> None:
    load_shipped_rules()
    edit(*INVALID, word=ErrorWord.LATER, suppress="", sentence="", retry_after=60)
    ErrorRule.objects.filter(code="21610").update(sentence="An older text.", note="old")
    ErrorRule.objects.filter(code="21612").delete()
    ErrorRule.objects.create(
        provider="twilio", phase=CALL, code="1", word=ErrorWord.UNKNOWN, origin=RuleOrigin.SHIPPED
    )
    assert load_shipped_rules() == 0  # one came back, one is shipped no more
    assert ErrorRule.objects.get(code="21211").word == ErrorWord.LATER
    assert ErrorRule.objects.get(code="21610").sentence == "The recipient replied STOP."
    assert not ErrorRule.objects.filter(code="1").exists()
    call_command("load_starters", verbosity=0)
    assert ErrorRule.objects.get(code="21211").origin == RuleOrigin.EDITED


def test_an_edit_acts_on_the_next_error_and_can_be_taken_back() -> None:
    load_shipped_rules()
    assert exception_of(meaning(CALL, [INVALID])) == Rejected(
        "21211", "The phone number can't receive this message.", SuppressionReason.INVALID
    )
    row = edit(*INVALID, word=ErrorWord.LATER, suppress="", sentence="", retry_after=60, counts_try=False)
    assert exception_of(meaning(CALL, [INVALID])) == NotProcessed("21211", 60, counts=False)
    assert restore_shipped_rules(ids=[row.pk]) == 1
    assert meaning(CALL, [INVALID]).word == ErrorWord.REJECTED
    own = edit(*NEW, word=ErrorWord.REJECTED)
    assert restore_shipped_rules(ids=[own.pk]) == 0


def test_a_row_that_is_not_edited_decides_nothing() -> None:
    load_shipped_rules()
    ErrorRule.objects.filter(code="21211").update(word=ErrorWord.UNKNOWN, suppress="")
    assert meaning(CALL, [INVALID]).word == ErrorWord.REJECTED


def test_a_phase_knows_nothing_of_the_other() -> None:
    edit("twilio", "30003", CALL, word=ErrorWord.MISCONFIGURED)
    assert known_rule(REPORT, [("twilio", "30003")]) == SHIPPED[REPORT, "twilio", "30003"]


def test_the_most_specific_rule_counts() -> None:
    keys = [("postmark", "401"), ("esp", "401")]
    assert meaning(CALL, keys) == SHIPPED[CALL, "esp", "401"]
    edit("postmark", "401", word=ErrorWord.REJECTED)
    assert meaning(CALL, keys).sentence == "As told."
    assert not ErrorRule.objects.filter(origin=RuleOrigin.SEEN).exists()


@pytest.mark.parametrize("phase", ErrorPhase)
def test_an_unknown_code_is_refused_for_good_kept_once_counted_and_alarmed(phase: ErrorPhase) -> None:
    with capture_logs() as logs:
        rules = [meaning(phase, [NEW]) for _ in range(3)]
    assert {(rule.word, rule.suppress, rule.most_retries) for rule in rules} == {("rejected", None, 0)}
    row = ErrorRule.objects.get()
    assert (row.provider, row.phase, row.code, row.origin) == (*NEW[:1], phase, NEW[1], RuleOrigin.SEEN)
    assert row.seen_count == 3
    assert row.first_seen_at is not None
    assert row.last_seen_at is not None
    assert row.first_seen_at < row.last_seen_at
    assert [(log["event"], log["log_level"], log["code"]) for log in logs] == [
        ("error_code_unknown", "error", "29999")
    ] * 3


def test_an_unknown_code_with_a_known_status_is_taken_by_the_status_and_kept() -> None:
    rule = meaning(CALL, [NEW], otherwise=[("twilio", "401")])
    assert rule == SHIPPED[CALL, "twilio", "401"]
    seen = ErrorRule.objects.get()
    assert (seen.code, seen.word, seen.origin) == ("29999", ErrorWord.MISCONFIGURED, RuleOrigin.SEEN)
    assert meaning(CALL, [NEW], otherwise=[("twilio", "400")]).word == ErrorWord.REJECTED


def test_an_unknown_code_counts_once_it_is_classified() -> None:
    meaning(CALL, [NEW])
    edit(*NEW, word=ErrorWord.LATER, sentence="", retry_after=5)
    with capture_logs() as logs:
        assert meaning(CALL, [NEW]).word == ErrorWord.LATER
    assert logs == []
    assert ErrorRule.objects.get().seen_count == 1


@pytest.mark.parametrize("code", ["+919840012345", "lakshmi@example.com", "x" * 51, "a\x00b", "வ"])
def test_what_could_be_an_address_is_not_kept_as_a_code(code: str) -> None:
    with capture_logs() as logs:
        meaning(REPORT, [("twilio", code)])
    assert ErrorRule.objects.get().code == "unreadable"
    assert code not in repr(logs)


def test_a_rule_may_alarm() -> None:
    with capture_logs() as logs:
        meaning(REPORT, [("twilio", "30007")])
        meaning(REPORT, [("twilio", "30004")])
    assert [(log["event"], log["log_level"], log["code"]) for log in logs] == [
        ("error_rule_alarms", "error", "30007")
    ]


def test_without_the_database_it_is_what_is_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    edit(*INVALID, word=ErrorWord.MISCONFIGURED)

    def away(*_: Any, **__: Any) -> None:
        raise DatabaseError("away")

    monkeypatch.setattr(QuerySet, "_fetch_all", away)
    assert meaning(CALL, [INVALID]) == SHIPPED[CALL, *INVALID]
    assert meaning(CALL, [NEW]).word == ErrorWord.REJECTED


BROKEN: dict[str, dict[str, Any]] = {
    "error_rule_once_per_code": {"code": "21610"},
    "error_rule_origin_known": {"origin": "guessed"},
    "error_rule_suppress_known": {"suppress": "mood"},
    "error_rule_word_fits_phase": {"word": ErrorWord.RETRY, "most_retries": 1},
    "error_rule_retries_iff_retried": {"most_retries": 1},
    "error_rule_waits_only_when_tried_again": {"retry_after": 60},
    "error_rule_suppresses_only_what_ended": {
        "word": ErrorWord.MISCONFIGURED,
        "suppress": SuppressionReason.INVALID,
    },
    "error_rule_says_why": {"sentence": ""},
    "error_rule_seen_has_times": {"origin": RuleOrigin.SEEN},
}


@pytest.mark.parametrize("constraint", BROKEN)
def test_the_database_keeps_to_the_rule(constraint: str) -> None:
    edit("twilio", "21610", word=ErrorWord.REJECTED)
    row = edit(*INVALID, word=ErrorWord.REJECTED)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        ErrorRule.objects.filter(pk=row.pk).update(**BROKEN[constraint])


def test_every_constraint_is_tested() -> None:
    assert {constraint.name for constraint in ErrorRule._meta.constraints} == set(BROKEN)


# --- The admin --------------------------------------------------------------------------------------------


def form_of(row: ErrorRule, **changes: Any) -> dict[str, Any]:
    names = ("word", "sentence", "suppress", "retry_after", "most_retries", "note", "docs_url")
    values = {name: getattr(row, name) for name in names} | {"counts_try": "on"} | changes
    return {name: "" if value is None else value for name, value in values.items()}


def test_an_admin_classifies_an_unknown_code_and_history_says_how(admin_site: Client) -> None:
    meaning(CALL, [NEW])
    row = ErrorRule.objects.get()
    page = reverse("admin:followups_errorrule_change", args=[row.pk])
    answer = admin_site.post(page, form_of(row, word="later", sentence="", retry_after="120"))
    assert answer.status_code == 302
    rule = meaning(CALL, [NEW])
    assert (rule.word, rule.retry_after) == (ErrorWord.LATER, 120)
    history = admin_site.get(reverse("admin:followups_errorrule_history", args=[row.pk])).content.decode()
    assert "word: rejected → later" in history


def test_an_admin_is_told_what_does_not_fit(admin_site: Client) -> None:
    load_shipped_rules()
    row = ErrorRule.objects.get(code="30003")
    page = reverse("admin:followups_errorrule_change", args=[row.pk])
    told = admin_site.post(page, form_of(row, word="later", most_retries=0))
    assert "a report is rejected, retry, window or record" in told.content.decode()
    told = admin_site.post(page, form_of(row, most_retries=9))
    assert "need 1 to 5 retries" in told.content.decode()
    row.refresh_from_db()
    assert (row.word, row.origin) == (ErrorWord.RETRY, RuleOrigin.SHIPPED)


def test_an_admin_takes_an_edit_back(admin_site: Client) -> None:
    load_shipped_rules()
    row = edit(*INVALID, sentence="Something else.")
    listed = reverse("admin:followups_errorrule_changelist")
    admin_site.post(listed, {"action": "restore", "_selected_action": [row.pk]})
    assert meaning(CALL, [INVALID]).sentence == "The phone number can't receive this message."


def test_unknown_codes_show_in_the_metrics(admin_site: Client) -> None:
    for _ in range(4):
        meaning(CALL, [NEW])
    edit("fcm", "ODD", word=ErrorWord.REJECTED)
    text = admin_site.get("/metrics").content.decode()
    assert 'followups_unknown_error_codes{provider="twilio"} 1.0' in text
    assert 'followups_unknown_errors{provider="twilio"} 4.0' in text
    assert 'provider="fcm"' not in text
