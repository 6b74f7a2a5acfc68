"""Statements, and credits given back by hand: with a reason, once, never more than was charged."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from credits.models import CreditEntry
from credits.selectors import balance_of, statement_of, statement_page
from credits.services import charge, grant
from followups.models import FollowUpSchedule
from followups.services.refunding import refund_follow_up
from followups.services.settings import update_settings
from followups.services.withdrawing import cancel_follow_up
from jyotiflow.accounts.models import User
from jyotiflow.auditing.models import Action, AuditEntry
from jyotiflow.exceptions import Conflict, DomainError, InvalidInput
from tests.factories import UserFactory
from tests.properties.rules import broken_rules

pytestmark = pytest.mark.django_db


def page_of(follow_up: FollowUpSchedule) -> str:
    return f"/admin/followups/refund/?follow_up={follow_up.pk}"


@pytest.fixture
def kept(follow_up: FollowUpSchedule) -> FollowUpSchedule:
    """Cancelled while cancelling gave nothing back."""
    update_settings(changes={"refund_on_cancel": False})
    return cancel_follow_up(follow_up_id=follow_up.pk)


def test_what_was_kept_of_a_cancelled_one_comes_back_whole_and_once(
    kept: FollowUpSchedule, admin: User, admin_site: Client
) -> None:
    assert balance_of(kept.user) == 95
    text = admin_site.get(page_of(kept)).content.decode()
    assert "the whole charge comes back" in text
    given = {"amount": "5", "reason": "It was our mistake"}
    for _ in range(2):  # a double click
        answer = admin_site.post(page_of(kept), given)
        account = kept.user.credit_account.pk
        assert answer.headers["location"] == f"/admin/credits/creditaccount/{account}/change/"
    kept.refresh_from_db()
    assert (balance_of(kept.user), kept.credits_refunded) == (100, 5)
    entry = CreditEntry.objects.get(kind="refund")
    assert (entry.actor, entry.reason, entry.amount) == (admin, "It was our mistake", 5)
    audit = AuditEntry.objects.get(action=Action.REFUNDED)
    assert (audit.actor, audit.before["balance"], audit.after["balance"]) == (admin, 95, 100)
    with pytest.raises(Conflict, match="already"):
        refund_follow_up(follow_up_id=kept.pk, amount=5, reason="Again", actor=admin)
    assert broken_rules() == []


def test_of_one_that_went_out_a_part_may_come_back_out_of_goodwill(
    sent: FollowUpSchedule, admin: User, admin_site: Client
) -> None:
    before = balance_of(sent.user)
    answer = admin_site.post(page_of(sent), {"amount": "6", "reason": "Late"})
    assert "between 1 and 5" in answer.content.decode()
    for _ in range(2):
        assert admin_site.post(page_of(sent), {"amount": "2", "reason": "Late"}).status_code == 302
    assert balance_of(sent.user) == before + 2
    answer = admin_site.post(page_of(sent), {"amount": "3", "reason": "Very late"})
    assert "given back already" in answer.content.decode()
    assert balance_of(sent.user) == before + 2
    assert AuditEntry.objects.get(action=Action.ADJUSTED).after["credits"] == 2
    assert broken_rules() == []


@pytest.mark.parametrize(
    ("status", "told"), [("pending", "cancel it"), ("sending", "on its way"), ("in_doubt", "on its way")]
)
def test_nothing_comes_back_before_its_end_is_known(
    follow_up: FollowUpSchedule, admin: User, admin_site: Client, status: str, told: str
) -> None:
    follow_up.status = status  # as the page and the service see it
    if status != "pending":
        how: dict[str, Any] = {"claim_token": "0" * 32, "lease_until": now()} if status == "sending" else {}
        FollowUpSchedule.objects.filter(pk=follow_up.pk).update(status=status, **how)
    assert told in admin_site.get(page_of(follow_up)).content.decode()
    with pytest.raises(Conflict, match=told):
        refund_follow_up(follow_up_id=follow_up.pk, amount=5, reason="why", actor=admin)
    assert not CreditEntry.objects.filter(kind__in=["refund", "adjustment"]).exists()


@pytest.mark.parametrize(
    ("amount", "reason"), [(4, "why"), (6, "why"), (0, "why"), (-5, "why"), (5, " "), (5, "for {name}")]
)
def test_a_bad_amount_or_reason_gives_nothing_back(
    kept: FollowUpSchedule, admin: User, amount: int, reason: str
) -> None:
    with pytest.raises(InvalidInput):
        refund_follow_up(
            follow_up_id=kept.pk, amount=amount, reason=reason.format(name=kept.user.email), actor=admin
        )
    kept.refresh_from_db()
    assert (balance_of(kept.user), kept.refunded_at) == (95, None)


@pytest.mark.django_db(transaction=True)
def test_two_at_once_give_back_once(kept: FollowUpSchedule, admin: User, in_parallel: Any) -> None:
    def give(reason: str) -> Any:
        return lambda: refund_follow_up(follow_up_id=kept.pk, amount=5, reason=reason, actor=admin)

    results = in_parallel(*(give(f"reason {number}") for number in range(6)))
    assert sum(isinstance(result, CreditEntry) for result in results) == 1
    assert sum(isinstance(result, DomainError) for result in results) == 5
    assert balance_of(kept.user) == 100


def test_it_needs_the_permission_to_move_credits(kept: FollowUpSchedule, client: Client, staff: User) -> None:
    staff.user_permissions.add(*Permission.objects.filter(codename__in=["view_creditaccount"]))
    client.force_login(staff)
    assert client.get(page_of(kept)).status_code == 403
    text = client.get(f"/admin/credits/creditaccount/{kept.user.credit_account.pk}/change/").content.decode()
    assert "/admin/followups/refund/" not in text
    assert "/admin/followups/followupschedule/" not in text
    assert client.get("/admin/followups/refund/").status_code == 403


def test_an_unknown_follow_up_is_not_found(admin_site: Client) -> None:
    for query in ("", "?follow_up=x", "?follow_up=00000000-0000-0000-0000-000000000000"):
        assert admin_site.get(f"/admin/followups/refund/{query}").status_code == 404


# --- The statement -----------------------------------------------------------------------------------------


def test_an_account_s_page_tells_each_movement_with_the_balance_after(
    kept: FollowUpSchedule, admin_site: Client
) -> None:
    account = kept.user.credit_account
    text = admin_site.get(f"/admin/credits/creditaccount/{account.pk}/change/").content.decode()
    assert f'href="/admin/followups/followupschedule/{kept.pk}/change/"' in text
    assert f'href="/admin/followups/refund/?follow_up={kept.pk}"' in text
    assert "<strong>95</strong>" in text
    assert "<strong>100</strong>" in text
    refund_follow_up(follow_up_id=kept.pk, amount=5, reason="why", actor=UserFactory(staff=True))
    text = admin_site.get(f"/admin/credits/creditaccount/{account.pk}/change/").content.decode()
    assert "/admin/followups/refund/" not in text


def test_pages_of_a_statement_go_on_where_the_last_one_ended(user: User) -> None:
    grant(user=user, amount=60, reason="start", key="start")
    for number in range(11):
        charge(user=user, amount=number, key=f"c{number}")
    account = user.credit_account
    seen, older_than = [], None
    while True:
        page = statement_page(account, older_than=older_than, size=5)
        seen += [(line.entry.pk, line.balance_after) for line in page.lines]
        older_than = page.older_than
        if older_than is None:
            break
    everything: Any = statement_of(user)
    assert seen == [(entry.pk, entry.balance_after) for entry in everything]
    assert seen[-1][1] == 60


def test_a_statement_asks_as_often_for_many_movements_as_for_few(rich_user: User, admin_site: Client) -> None:
    path = f"/admin/credits/creditaccount/{rich_user.credit_account.pk}/change/"

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_site.get(path).status_code == 200
        return len(captured)

    def move(count: int) -> None:
        for _ in range(count):
            key = f"k{CreditEntry.objects.count()}"
            grant(user=rich_user, amount=1, reason="why", key=key, actor=UserFactory(staff=True))

    move(2)
    queries()
    few = queries()
    move(20)
    assert queries() == few


def test_a_follow_up_in_the_archive_is_refunded_too(kept: FollowUpSchedule, admin: User) -> None:
    long_ago = now() - timedelta(days=200)
    FollowUpSchedule.objects.filter(pk=kept.pk).update(cancelled_at=long_ago, updated_at=long_ago)
    assert refund_follow_up(follow_up_id=kept.pk, amount=5, reason="why", actor=admin).amount == 5
