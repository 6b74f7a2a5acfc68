"""The simulation tells what then really happens, writes nothing, and asks seldom."""

import csv
import io
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from credits.models import CreditEntry
from credits.services import charge, grant
from followups.addresses import hash_address
from followups.choices import SuppressionReason
from followups.models import FollowUpSchedule, FollowUpTemplate, SessionPlan
from followups.selectors.simulation import Outcome, Totals, completed_in, simulate
from followups.services.consent import opt_out, register_device, suppress
from followups.services.planning import plan_session
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from jyotiflow.accounts.models import User
from jyotiflow.auditing.models import Action, AuditEntry
from jyotiflow.read_only import read_only
from sessions_app.models import Session
from sessions_app.services import complete_session
from tests.factories import SessionFactory, UserFactory

pytestmark = pytest.mark.django_db
PAGE = "/admin/followups/simulate/"
Decisions = list[tuple[str, Any]]


def simulated(session: Session) -> Outcome:
    with read_only():
        (outcome,) = simulate(Session.objects.filter(pk=session.pk))
    return outcome


def foretold(outcome: Outcome) -> Decisions:
    """Each template with the first reason against it, or when, where, in what and for how much it goes."""
    found: Decisions = []
    for each in outcome.steps:
        step = each.step
        if step.refusals:
            found.append((step.template.name, step.refusals[0].code))
        else:
            assert step.order is not None
            assert step.found is not None
            moment = step.order.scheduled_at.replace(second=0, microsecond=0)
            what = (moment, step.template.channel, str(step.found.language), step.found.price)
            found.append((step.template.name, what))
    return found


def really(session: Session) -> Decisions:
    plan = SessionPlan.objects.get(session=session)
    rows = {str(row.pk): row for row in FollowUpSchedule.objects.filter(session=session)}
    names = {str(row.template_id): row.template.name for row in rows.values()}
    found: Decisions = []
    for decision in plan.decisions:
        row = rows.get(decision.get("follow_up", ""))
        if row is None:
            found.append((str(decision["template"]), decision["skipped"]))
        else:
            moment = row.scheduled_at.replace(second=0, microsecond=0)
            what = (moment, row.channel, row.language, row.credits_charged)
            found.append((names[str(row.template_id)], what))
    return found


def named(decisions: Decisions, session: Session) -> Decisions:
    from_id = {str(template.pk): template.name for template in _templates()}
    return [(from_id.get(name, name), what) for name, what in decisions]


def _templates() -> Any:
    return FollowUpTemplate.objects.all()


@pytest.fixture
def sequence(make_template: Any) -> None:
    """Three steps: mail at ten the next day, SMS three days later, and the inbox at once."""
    make_template(name="Mail", channel="email", sequence_order=1, delay_hours=12, local_time=time(10))
    make_template(
        name="Text", channel="sms", sequence_order=2, delay_hours=72, local_time=None, credits_cost=2
    )
    make_template(
        name="Inbox", channel="in_app", sequence_order=3, delay_hours=0, local_time=None, credits_cost=0
    )


def nothing(user: User) -> None:
    pass


def poor(user: User) -> None:
    charge(user=user, amount=96, key="spent")


def no_mail(user: User) -> None:
    opt_out(user=user, channel="email")


def stopped(user: User) -> None:
    suppress(
        channel="sms",
        address_hash=hash_address(user.phone),
        reason=SuppressionReason.COMPLAINT,
        source="test",
    )


def no_phone(user: User) -> None:
    User.objects.filter(pk=user.pk).update(phone="")


def tamil_in_chennai(user: User) -> None:
    User.objects.filter(pk=user.pk).update(preferred_language="ta", timezone="Asia/Kolkata")


def in_new_york(user: User) -> None:
    User.objects.filter(pk=user.pk).update(timezone="America/New_York")


def busy(user: User) -> None:
    for days in (1, 3, 4):
        template = _templates().get(name="Inbox")
        schedule_follow_up(
            user=user, template_id=template.pk, scheduled_at=now() + timedelta(days=days, hours=days)
        )


def one_a_session(user: User) -> None:
    update_settings(changes={"max_followups_per_session": 1})


def near_horizon(user: User) -> None:
    update_settings(changes={"max_interval_days": 1})


def free(user: User) -> None:
    update_settings(changes={"enable_credit_charging": False, "quiet_hours_start": "03:00"})


@pytest.mark.usefixtures("sequence")
@pytest.mark.parametrize(
    "circumstance",
    [
        *(nothing, poor, no_mail, stopped, no_phone, tamil_in_chennai, in_new_york, busy, one_a_session),
        *(near_horizon, free),
    ],
)
def test_what_is_foretold_is_what_then_happens(circumstance: Any, rich_user: User) -> None:
    circumstance(rich_user)
    session = SessionFactory(user=rich_user)
    before = foretold(simulated(session))
    complete_session(session_id=session.pk)
    after = named(really(session), session)
    assert before == after
    assert len(before) == 3
    # Looked at again, as of its completion: the same, although its own follow-ups are there by now.
    assert foretold(simulated(session)) == before


@pytest.mark.usefixtures("sequence")
def test_the_circumstances_make_a_difference(rich_user: User) -> None:
    """Else the test above would compare nothing with nothing."""
    session = SessionFactory(user=rich_user)
    assert [isinstance(what, tuple) for _, what in foretold(simulated(session))] == [True] * 3
    poor(rich_user)
    assert [what for _, what in foretold(simulated(session))][0] == "insufficient_credits"
    no_mail(rich_user)
    stopped(rich_user)
    codes = [[refusal.code for refusal in each.step.refusals] for each in simulated(session).steps]
    assert codes[:2] == [["opted_out", "insufficient_credits"], ["suppressed"]]


@pytest.mark.usefixtures("sequence")
def test_a_session_that_was_missed_is_foretold_as_beat_will_plan_it(rich_user: User) -> None:
    session = SessionFactory(user=rich_user, completed=True)
    before = foretold(simulated(session))
    plan_session(session_id=session.pk)
    assert before == named(really(session), session)


@pytest.mark.usefixtures("sequence")
def test_sessions_of_one_reader_meet_each_other(rich_user: User) -> None:
    charge(user=rich_user, amount=90, key="spent")  # enough for one sequence, not for two
    sessions = [
        SessionFactory(user=rich_user, completed=True, completed_at=now() - timedelta(hours=hours))
        for hours in (3, 2)
    ]
    outcomes = simulate(completed_in(now() - timedelta(days=1), now()))
    before = [foretold(outcome) for outcome in outcomes]
    assert [outcome.session for outcome in outcomes] == sessions
    for session in sessions:
        plan_session(session_id=session.pk)
    assert before == [named(really(session), session) for session in sessions]
    assert before[0] != before[1]


@pytest.mark.usefixtures("sequence")
def test_a_month_is_seen_as_of_each_completion(rich_user: User) -> None:
    completed = now() - timedelta(days=20)  # before anything was granted
    SessionFactory(user=rich_user, completed=True, completed_at=completed)
    (outcome,) = simulate(completed_in(completed, now()), at_completion=True)
    codes = [what for _, what in foretold(outcome)]
    assert codes[:2] == ["insufficient_credits"] * 2
    inbox = outcome.booked[0].step.order
    assert inbox is not None
    assert inbox.scheduled_at < completed + timedelta(days=1)


@pytest.mark.usefixtures("sequence")
def test_a_planned_session_is_seen_with_the_credits_its_reader_had(rich_user: User) -> None:
    session = SessionFactory(user=rich_user)
    complete_session(session_id=session.pk)
    charge(user=rich_user, amount=93, key="spent since")
    assert simulated(session).is_planned
    assert all(isinstance(what, tuple) for _, what in foretold(simulated(session)))


@pytest.mark.usefixtures("sequence")
def test_nothing_is_written_even_if_somebody_tried(rich_user: User) -> None:
    session = SessionFactory(user=rich_user)
    before = (FollowUpSchedule.objects.count(), CreditEntry.objects.count())
    with CaptureQueriesContext(connection) as captured:
        simulated(session)
    assert not [q for q in captured if q["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    assert (FollowUpSchedule.objects.count(), CreditEntry.objects.count()) == before
    with pytest.raises(DatabaseError, match="read-only"), read_only():
        grant(user=rich_user, amount=1, reason="why", key="k")


def test_totals_count_each_person_once_over_pages(rich_user: User, sequence: None) -> None:
    other = UserFactory()
    for user in (rich_user, rich_user, other):
        SessionFactory(user=user, completed=True)
    sessions = completed_in(now() - timedelta(days=1), now())
    outcomes = simulate(sessions)
    assert [outcome.session.user_id for outcome in outcomes] == sorted(
        outcome.session.user_id for outcome in outcomes
    )
    whole = Totals().plus(outcomes)
    paged = Totals().plus(outcomes[:1]).plus(outcomes[1:])
    assert whole == paged
    assert (whole.sessions, whole.people) == (3, 2)
    # The other has neither a phone nor credits: the free one in the inbox is what is left.
    assert (whole.messages, whole.credits) == (7, 14)


def test_a_simulation_asks_as_often_for_many_sessions_as_for_few(sequence: None, make_template: Any) -> None:
    make_template(name="Push", channel="push", sequence_order=4, delay_hours=100)
    make_template(name="WhatsApp", channel="whatsapp", sequence_order=5, delay_hours=200)

    def add(count: int) -> None:
        for _ in range(count):
            user = UserFactory(phone=f"+9198400{User.objects.count():05}")
            grant(user=user, amount=100, reason="test", key=f"k{user.pk}")
            register_device(user=user, token=f"device {user.pk}", platform="ios")
            complete_session(session_id=SessionFactory(user=user).pk)
            SessionFactory(user=user, completed=True)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            simulate(completed_in(now() - timedelta(days=1), now() + timedelta(days=1)))
        return len(captured)

    add(2)
    queries()  # templates and settings are read once
    few = queries()
    add(6)
    assert queries() == few <= 12


# --- The page ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("sequence")
def test_one_session_by_its_id_or_by_its_reader(rich_user: User, admin_site: Client) -> None:
    no_phone(rich_user)
    session = SessionFactory(user=rich_user)
    text = admin_site.get(PAGE, {"q": session.pk}).content.decode()
    assert "the reader has no address on this channel" in text
    assert f"When ({rich_user.timezone})" in text
    text = admin_site.get(PAGE, {"q": rich_user.email.upper()}).content.decode()
    assert f'href="?q={session.pk}"' in text
    assert "no session with this id" in admin_site.get(PAGE, {"q": "nobody"}).content.decode()


def period(**days: Any) -> dict[str, str]:
    today = now().date()
    return {"first": str(today - timedelta(days=1)), "last": str(today), **days}


def test_a_period_comes_in_pages_with_running_totals(
    rich_user: User, admin_site: Client, sequence: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("followups.admin.simulate.AT_ONCE", 2)
    grant(user=rich_user, amount=100, reason="more", key="more")
    for _ in range(5):
        SessionFactory(user=rich_user, completed=True, completed_at=now())
    answer = admin_site.get(PAGE, period())
    seen = [card.outcome.session.pk for card in answer.context["cards"]]
    pages = 1
    while answer.context["next"]:
        answer = admin_site.get(answer.context["next"], headers={"HX-Request": "true"})
        assert 'hx-swap-oob="true"' in answer.content.decode()
        seen += [card.outcome.session.pk for card in answer.context["cards"]]
        pages += 1
    assert (pages, len(seen), len(set(seen))) == (3, 5, 5)
    totals = answer.context["totals"]
    assert (totals.sessions, totals.people, totals.messages, totals.credits) == (5, 1, 15, 35)


@pytest.mark.parametrize(
    "days",
    [{"first": "2026-02-01", "last": "2026-03-04"}, {"first": "2026-02-02", "last": "2026-02-01"}],
)
def test_a_period_too_long_or_backwards_is_refused(days: dict[str, str], admin_site: Client) -> None:
    answer = admin_site.get(PAGE, days)
    assert "up to 31 days" in answer.context["period"].errors["last"][0]
    assert "totals" not in answer.context
    assert admin_site.get(PAGE, {"first": "x", "last": "y", "after": "z"}).status_code == 200


@pytest.mark.usefixtures("sequence")
def test_the_file_holds_every_step_and_is_on_record(
    rich_user: User, admin: User, admin_site: Client, client: Client, staff: User
) -> None:
    opt_out(user=rich_user, channel="email")
    session = SessionFactory(user=rich_user, completed=True, completed_at=now())
    answer: Any = admin_site.post(f"{PAGE}csv/", period())
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert [row["template"] for row in rows] == ["Mail", "Text", "Inbox"]
    assert rows[0]["why_not"] == "the reader opted out of this channel"
    assert (rows[1]["credits"], rows[1]["session"]) == ("2", session.pk)
    assert datetime.fromisoformat(rows[1]["scheduled_at"]) > now()
    entry = AuditEntry.objects.get(action=Action.EXPORTED)
    assert (entry.actor, entry.label) == (admin, "simulation")
    staff.user_permissions.add(
        Permission.objects.get(codename="view_session", content_type__app_label="sessions_app")
    )
    client.force_login(staff)
    assert client.get(PAGE, period()).status_code == 200
    assert "csv" not in client.get(PAGE, period()).content.decode()
    assert client.post(f"{PAGE}csv/", period()).status_code == 403
    assert admin_site.get(f"{PAGE}csv/").status_code == 405


def test_switched_off_planning_is_said(rich_user: User, admin_site: Client, sequence: None) -> None:
    update_settings(changes={"auto_followup_enabled": False})
    session = SessionFactory(user=rich_user)
    text = admin_site.get(PAGE, {"q": session.pk}).content.decode()
    assert "Automatic follow-ups are off" in text
    assert simulated(session).steps == []


def test_it_is_for_whoever_sees_sessions(client: Client, staff: User) -> None:
    client.force_login(staff)
    assert client.get(PAGE).status_code == 403
    assert PAGE not in client.get("/admin/").content.decode()
