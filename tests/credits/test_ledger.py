import datetime as dt
import uuid
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, ProgrammingError, connection, transaction

from credits.exceptions import InsufficientCredits
from credits.models import CreditAccount, CreditEntry
from credits.selectors import balance_of, imbalances, statement_of
from credits.services import MAX_AMOUNT, adjust, charge, grant, refund
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import Conflict, InvalidInput, NotFound
from tests.factories import UserFactory


def give(user, amount=10, key="welcome"):
    return grant(user=user, amount=amount, reason="Welcome", key=key)


def sums(user):
    return balance_of(user), sum(CreditEntry.objects.values_list("amount", flat=True))


# --- Movements -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["{name}", "Ana called", "asked by {email}", "call {phone} back"])
def test_a_reason_that_stays_for_good_doesn_t_name_the_person(user: User, named: str) -> None:
    user.name, user.phone = "Ana Devi", "+919840012345"
    words = {"name": user.name.upper(), "email": user.email, "phone": user.phone}
    for move in (grant, adjust):
        with pytest.raises(InvalidInput, match="name the person"):
            move(user=user, amount=5, reason=named.format(**words), key="k")
    assert grant(user=user, amount=5, reason="Bananas for all", key="k").amount == 5


def test_a_worked_example(user):
    give(user, 10)
    charge(user=user, amount=3, key="f1:charge", reason="Follow-up")
    charge(user=user, amount=0, key="f2:charge")
    refund(charge_key="f1:charge", key="f1:refund", reason="Not delivered")
    adjust(user=user, amount=-4, reason="Counted twice", key="fix")
    assert balance_of(user) == 6
    rows: list[Any] = list(statement_of(user))
    assert [(row.kind, row.amount, row.balance_after) for row in rows] == [
        ("adjustment", -4, 6),
        ("refund", 3, 10),
        ("charge", 0, 7),
        ("charge", -3, 7),
        ("grant", 10, 10),
    ]
    assert imbalances() == []


def test_who_never_had_credits_has_none(user):
    assert balance_of(user) == 0
    assert not CreditAccount.objects.exists()


def test_a_charge_beyond_the_balance_takes_and_writes_nothing(user):
    give(user, 2)
    with pytest.raises(InsufficientCredits) as refusal:
        charge(user=user, amount=3, key="f1:charge")
    assert refusal.value.status == 402
    assert sums(user) == (2, 2)


def test_a_charge_takes_the_last_credit(user):
    give(user, 3)
    charge(user=user, amount=3, key="f1:charge")
    assert balance_of(user) == 0


@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT + 1])
def test_a_grant_out_of_range_is_refused(user, amount):
    with pytest.raises(InvalidInput):
        give(user, amount)
    assert not CreditEntry.objects.exists()


@pytest.mark.parametrize("amount", [-1, -10, MAX_AMOUNT + 1])
def test_a_negative_price_mints_nothing(user, amount):
    give(user, 10)
    with pytest.raises(InvalidInput):
        charge(user=user, amount=amount, key="f1:charge")
    assert balance_of(user) == 10


@pytest.mark.parametrize("amount", [0, MAX_AMOUNT + 1, -MAX_AMOUNT - 1])
def test_an_adjustment_out_of_range_is_refused(user, amount):
    with pytest.raises(InvalidInput):
        adjust(user=user, amount=amount, reason="Why", key="fix")


def test_an_adjustment_below_zero_is_refused(user):
    give(user, 1)
    with pytest.raises(InsufficientCredits):
        adjust(user=user, amount=-2, reason="Why", key="fix")


@pytest.mark.parametrize("reason", ["", "  "])
def test_credits_given_by_hand_need_a_reason(user, reason):
    with pytest.raises(InvalidInput):
        grant(user=user, amount=1, reason=reason, key="welcome")


# --- Once ------------------------------------------------------------------------------------------------


def test_a_repeat_under_the_same_key_moves_nothing_and_answers_the_first(user):
    first = give(user, 10)
    assert give(user, 10) == first
    taken = charge(user=user, amount=3, key="f1:charge")
    assert charge(user=user, amount=3, key="f1:charge") == taken
    assert sums(user) == (7, 7)


def test_a_repeated_charge_is_answered_even_when_the_balance_is_gone(user):
    give(user, 3)
    taken = charge(user=user, amount=3, key="f1:charge")
    assert charge(user=user, amount=3, key="f1:charge") == taken


def test_a_key_of_another_movement_is_a_conflict(user):
    give(user, 10)
    charge(user=user, amount=3, key="f1:charge")
    other = UserFactory()
    give(other, 10, key="welcome 2")
    for attempt in (
        lambda: charge(user=user, amount=4, key="f1:charge"),
        lambda: charge(user=other, amount=3, key="f1:charge"),
        lambda: adjust(user=user, amount=-3, reason="Why", key="f1:charge"),
        lambda: charge(user=user, amount=3, key="welcome"),
    ):
        with pytest.raises(Conflict) as refusal:
            attempt()
        assert refusal.value.code == "key_reused"
    assert (balance_of(user), balance_of(other)) == (7, 10)


def test_a_refund_gives_back_the_whole_charge_once(user):
    give(user, 10)
    charge(user=user, amount=3, key="f1:charge")
    first = refund(charge_key="f1:charge", key="f1:refund")
    assert refund(charge_key="f1:charge", key="f1:refund") == first
    assert sums(user) == (10, 10)


def test_a_second_refund_under_another_key_is_refused_by_the_database(user):
    give(user, 10)
    charge(user=user, amount=3, key="f1:charge")
    refund(charge_key="f1:charge", key="f1:refund")
    with pytest.raises(IntegrityError, match="refunded_entry"):
        refund(charge_key="f1:charge", key="f1:refund again")
    assert balance_of(user) == 10


@pytest.mark.parametrize("key", ["unknown", "welcome"])
def test_only_a_charge_is_refunded(user, key):
    give(user)
    with pytest.raises(NotFound):
        refund(charge_key=key, key="refund")


# --- In parallel -----------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_twenty_charges_at_once_with_credits_for_three_take_exactly_three(in_parallel):
    user = UserFactory()
    give(user, 6)
    results = in_parallel(*[lambda n=n: charge(user=user, amount=2, key=f"f{n}:charge") for n in range(20)])
    assert sum(isinstance(result, CreditEntry) for result in results) == 3
    assert sum(isinstance(result, InsufficientCredits) for result in results) == 17
    assert sums(user) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_one_charge_sent_twenty_times_at_once_is_taken_once(in_parallel):
    user = UserFactory()
    give(user, 10)
    results = in_parallel(*[lambda: charge(user=user, amount=2, key="f1:charge")] * 20)
    assert len({result.pk for result in results}) == 1
    assert sums(user) == (8, 8)


@pytest.mark.django_db(transaction=True)
def test_one_refund_sent_twenty_times_at_once_is_given_once(in_parallel):
    user = UserFactory()
    give(user, 10)
    charge(user=user, amount=4, key="f1:charge")
    results = in_parallel(*[lambda: refund(charge_key="f1:charge", key="f1:refund")] * 20)
    assert len({result.pk for result in results}) == 1
    assert sums(user) == (10, 10)


@pytest.mark.django_db(transaction=True)
def test_first_grants_at_once_open_one_account(in_parallel):
    user = UserFactory()
    results = in_parallel(*[lambda n=n: give(user, 1, key=f"welcome {n}") for n in range(10)])
    assert all(isinstance(result, CreditEntry) for result in results), results
    assert CreditAccount.objects.get().balance == 10


# --- What the database itself refuses --------------------------------------------------------------------


def entry(account, **fields):
    return CreditEntry(
        **{
            "account": account,
            "kind": "grant",
            "amount": 1,
            "reason": "Why",
            "idempotency_key": str(uuid.uuid4()),
        }
        | fields
    )


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"amount": 0}, "credit_entry_sign_follows_kind"),
        ({"amount": -1}, "credit_entry_sign_follows_kind"),
        ({"kind": "charge", "amount": 1}, "credit_entry_sign_follows_kind"),
        ({"kind": "adjustment", "amount": 0}, "credit_entry_sign_follows_kind"),
        ({"kind": "gift"}, "credit_entry_sign_follows_kind"),
        ({"kind": "refund"}, "credit_entry_refund_names_its_charge"),
        ({"reason": ""}, "credit_entry_by_hand_has_reason"),
        ({"kind": "adjustment", "reason": ""}, "credit_entry_by_hand_has_reason"),
    ],
)
def test_an_entry_that_breaks_a_rule_is_refused(user, fields, constraint):
    account = CreditAccount.objects.create(user=user)
    with pytest.raises(IntegrityError, match=constraint):
        entry(account, **fields).save(force_insert=True)


def test_only_a_refund_names_a_charge(user):
    give(user)
    charged = charge(user=user, amount=1, key="f1:charge")
    with pytest.raises(IntegrityError, match="credit_entry_refund_names_its_charge"):
        entry(charged.account, refunded_entry=charged).save(force_insert=True)


def test_a_key_is_unique(user):
    first = give(user)
    with pytest.raises(IntegrityError, match="idempotency_key"):
        entry(first.account, idempotency_key="welcome").save(force_insert=True)


def test_a_balance_below_zero_is_refused(user):
    with pytest.raises(IntegrityError, match="credit_balance_not_negative"):
        CreditAccount.objects.create(user=user, balance=-1)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE credit_entries SET amount = 1000",
        "UPDATE credit_entries SET reason = 'x'",
        "DELETE FROM credit_entries",
    ],
)
def test_an_entry_is_final_even_for_direct_sql(user, statement):
    give(user)
    refused = pytest.raises(ProgrammingError, match="credit_entries")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert sums(user) == (10, 10)


def test_a_user_with_a_history_of_credits_is_not_deleted(user):
    give(user)
    with pytest.raises(IntegrityError):  # ProtectedError is one
        user.delete()


# --- The proof -------------------------------------------------------------------------------------------


def test_a_sound_ledger_passes_the_check_with_its_counts(user):
    give(user)
    charge(user=user, amount=3, key="f1:charge")
    out = StringIO()
    call_command("check_ledger", stdout=out)
    assert "1 accounts, 2 entries" in out.getvalue()


def test_a_balance_that_was_tampered_with_fails_the_check_by_account(user):
    give(user)
    give(UserFactory(), key="welcome 2")
    CreditAccount.objects.filter(user=user).update(balance=11)
    out = StringIO()
    with pytest.raises(CommandError) as failure:
        call_command("check_ledger", stdout=out)
    assert failure.value.returncode == 1
    assert out.getvalue() == f"account {user.credit_account.pk}: balance 11, entries 10\n"
    assert user.email not in out.getvalue()


# --- Over HTTP -------------------------------------------------------------------------------------------


def test_the_balance_is_read(api, user):
    assert api.get("/api/user/credits").json() == {"success": True, "data": {"credits": 0}}
    give(user)
    assert api.get("/api/user/credits").json()["data"] == {"credits": 10}


def test_the_history_is_the_callers_newest_first_with_running_balances(api, user):
    give(UserFactory(), key="not yours")
    give(user, 10)
    for number in range(3):
        charge(user=user, amount=1, key=f"f{number}:charge", reason=f"Follow-up {number}")
    body = api.get("/api/user/credits/history?limit=2&offset=1").json()
    assert (body["success"], body["count"]) == (True, 4)
    assert [(row["reason"], row["amount"], row["balance_after"]) for row in body["data"]] == [
        ("Follow-up 1", -1, 8),
        ("Follow-up 0", -1, 9),
    ]
    assert set(body["data"][0]) == {"id", "kind", "amount", "reason", "created_at", "balance_after"}
    assert dt.datetime.fromisoformat(body["data"][0]["created_at"]).tzinfo is not None


def test_a_page_of_history_costs_two_queries_however_long(api, user, django_assert_num_queries):
    give(user, 100)
    for number in range(30):
        charge(user=user, amount=1, key=f"f{number}:charge")
    with django_assert_num_queries(2):
        assert len(api.get("/api/user/credits/history").json()["data"]) == 31


def test_a_page_out_of_range_is_a_400(api):
    response = api.get("/api/user/credits/history?limit=201")
    assert (response.status_code, list(response.json()["errors"])) == (400, ["limit"])


@pytest.mark.parametrize("path", ["/api/user/credits", "/api/user/credits/history"])
def test_credits_are_for_the_signed_in(anonymous, db, path):
    assert anonymous.get(path).status_code == 401
