"""The checker itself: every fault that is planted is reported, and a clean run is not."""

from dataclasses import replace

import pytest

from tests.faults.verdict import Booked, Facts, Judgement, Taken, judge

SENT = Booked("f1", "sms", "delivered", "ref-1", price=5, charges=(-5,), attempts=("a1", "a2"))
REFUNDED = Booked("f2", "sms", "failed", "ref-2", price=5, charges=(-5,), refunds=(5,), attempts=("a3",))
TAKEN = Taken("twilio", "SM1", "sms", "ref-1", attempt="a1")
CLEAN = Facts(booked=[SENT, REFUNDED], taken=[TAKEN], acknowledged={"ref-1": "f1"}, asked={"ref-1", "ref-2"})


def row(judgement: Judgement, channel: str = "sms") -> dict[str, object]:
    (found,) = [row for row in judgement.rows if row["channel"] == channel]
    return found


def test_a_clean_run_is_clean() -> None:
    judgement = judge(CLEAN)
    assert judgement.problems == []
    assert {name: count for name, count in row(judgement).items() if count} == {
        "channel": "sms",
        "messages": 2,
        "ok": 1,
        "refunded": 1,
    }


def test_what_was_disturbed_and_is_ok_is_recovered() -> None:
    judgement = judge(replace(CLEAN, booked=[replace(SENT, was_disturbed=True), REFUNDED]))
    assert (row(judgement)["ok"], row(judgement)["recovered"]) == (1, 1)
    assert judgement.problems == []


AGAIN = replace(TAKEN, id="SM2", attempt="a2")
PLANTED = {
    "a loss": (replace(CLEAN, taken=[]), "lost", "1 lost: f1"),
    "a duplicate": (replace(CLEAN, taken=[TAKEN, AGAIN]), "duplicated", "1 duplicated: f1"),
    "one sent though refunded": (
        replace(CLEAN, taken=[TAKEN, Taken("twilio", "SM3", "sms", "ref-2", attempt="a3")]),
        "unexpected",
        "1 unexpected: f2",
    ),
    "one nobody booked": (
        replace(CLEAN, taken=[TAKEN, Taken("twilio", "SM4", "sms", "ref-9", attempt="a9")]),
        "unexpected",
        "SM4, which nobody booked",
    ),
    "somebody else's words": (
        replace(CLEAN, taken=[replace(TAKEN, ref="ref-2")]),
        "unexpected",
        "SM1, which nobody booked in these words",
    ),
    "one still in doubt": (
        replace(CLEAN, booked=[replace(SENT, state="in_doubt"), REFUNDED]),
        "in doubt",
        "1 in doubt: f1",
    ),
    "one left in the queue": (
        replace(CLEAN, booked=[replace(SENT, state="pending"), REFUNDED]),
        "unfinished",
        "1 unfinished: f1",
    ),
}


@pytest.mark.parametrize(("facts", "word", "problem"), PLANTED.values(), ids=list(PLANTED))
def test_what_became_of_a_message_is_reported(facts: Facts, word: str, problem: str) -> None:
    judgement = judge(facts)
    assert row(judgement)[word] == row(judgement, "all")[word] == 1
    assert any(problem in text for text in judgement.problems), judgement.problems


FAULTY = {
    "a charge too many": ([replace(SENT, charges=(-5, -5)), REFUNDED], "was charged (-5, -5)"),
    "no charge": ([replace(SENT, charges=()), REFUNDED], "was charged ()"),
    "another price": ([replace(SENT, charges=(-4,)), REFUNDED], "costs 5 and was charged (-4,)"),
    "two refunds": ([SENT, replace(REFUNDED, refunds=(5, 5))], "was refunded (5, 5)"),
    "no refund": ([SENT, replace(REFUNDED, refunds=())], "is failed, cost 5 and was refunded ()"),
    "a refund of what was sent": ([replace(SENT, refunds=(5,)), REFUNDED], "is delivered, cost 5"),
    "a booking twice": ([SENT, REFUNDED, replace(REFUNDED, id="f3", attempts=())], "booked 2 times"),
    "a booking nobody asked for": (
        [SENT, REFUNDED, replace(REFUNDED, id="f3", ref="ref-3", attempts=())],
        "nobody asked: ref-3",
    ),
    "a confirmed booking that is gone": ([REFUNDED], "ref-1 was confirmed as f1, which is not there"),
}


@pytest.mark.parametrize(("booked", "problem"), FAULTY.values(), ids=list(FAULTY))
def test_a_fault_of_bookings_or_money_is_reported(booked: list[Booked], problem: str) -> None:
    found = judge(replace(CLEAN, booked=booked)).problems
    assert any(problem in text for text in found), found


def test_a_fault_of_the_ledger_is_a_problem() -> None:
    assert judge(replace(CLEAN, ledger_faults=["account 1 is off by 5"])).problems == [
        "account 1 is off by 5"
    ]


def test_one_that_was_taken_and_never_arrived_may_be_refunded_or_tried_again() -> None:
    undelivered = Taken("twilio", "SM3", "sms", "ref-2", attempt="a3", is_undelivered=True)
    assert judge(replace(CLEAN, taken=[TAKEN, undelivered])).problems == []
    assert judge(replace(CLEAN, taken=[replace(TAKEN, is_undelivered=True), AGAIN])).problems == []


def test_where_nobody_can_be_asked_as_many_repeats_as_ambiguities_are_allowed() -> None:
    mail = replace(SENT, channel="email", unknown=1)
    mails = [replace(TAKEN, channel="email", is_untold=True), replace(AGAIN, channel="email")]
    facts = replace(CLEAN, booked=[mail, REFUNDED], taken=mails, at_least_once=["email"])
    judgement = judge(facts)
    assert (judgement.problems, judgement.repeats) == ([], 1)
    third = replace(facts, taken=[*mails, replace(mails[1], id="m3")], booked=[replace(mail, unknown=2)])
    assert row(judge(third), "email")["duplicated"] == 1
    assert judge(replace(third, ambiguities=1)).problems == []
    assert row(judge(replace(third, ambiguities=1, booked=[mail])), "email")["duplicated"] == 1
    told = replace(facts, taken=[replace(mails[0], is_untold=False), mails[1]])
    assert row(judge(told), "email")["duplicated"] == 1
