import datetime as dt

import pytest
from django.contrib.auth.models import Permission
from django.db import IntegrityError
from django.test import Client
from django.utils.timezone import now

from jyotiflow.exceptions import Conflict, NotFound
from sessions_app.models import Session
from sessions_app.services import complete_session
from sessions_app.signals import session_completed
from tests.factories import SessionFactory, UserFactory


@pytest.fixture
def announced():
    """The ids of the sessions announced as completed."""
    ids = []

    def listen(session, **_):
        ids.append(session.pk)

    session_completed.connect(listen)
    yield ids
    session_completed.disconnect(listen)


# --- Completing ------------------------------------------------------------------------------------------


def test_completing_sets_the_time_and_the_guidance_and_announces_it(db, announced):
    session = SessionFactory()
    completed = complete_session(session_id=session.pk, guidance_summary="Begin on a quiet day.")
    session.refresh_from_db()
    assert (session.status, session.guidance_summary) == ("completed", "Begin on a quiet day.")
    assert completed.completed_at == session.completed_at
    assert session.completed_at is not None
    assert abs(now() - session.completed_at) < dt.timedelta(minutes=1)
    assert announced == [session.pk]


def test_completing_again_answers_the_same_and_announces_nothing(db, announced):
    session = SessionFactory()
    first = complete_session(session_id=session.pk, guidance_summary="First.")
    second = complete_session(session_id=session.pk, guidance_summary="Second.")
    assert (second.completed_at, second.guidance_summary) == (first.completed_at, "First.")
    assert announced == [session.pk]


def test_guidance_stays_when_none_is_given(db):
    session = SessionFactory(guidance_summary="Written before.")
    assert complete_session(session_id=session.pk).guidance_summary == "Written before."


def test_a_failed_session_is_not_completed(db, announced):
    session = SessionFactory(status="failed")
    with pytest.raises(Conflict):
        complete_session(session_id=session.pk)
    assert announced == []


def test_an_unknown_session_is_not_found(db):
    with pytest.raises(NotFound):
        complete_session(session_id="unknown")


@pytest.mark.django_db(transaction=True)
def test_completing_twenty_times_at_once_announces_it_once(in_parallel, announced):
    session = SessionFactory()
    results = in_parallel(*[lambda: complete_session(session_id=session.pk)] * 20)
    assert len({result.completed_at for result in results}) == 1
    assert announced == [session.pk]


# --- What the database itself refuses --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"status": "done"}, "session_status_known"),
        ({"status": "completed", "completed_at": None}, "session_completed_at_iff_completed"),
        ({"status": "open", "completed_at": now()}, "session_completed_at_iff_completed"),
        ({"follow_up_count": -1}, "session_follow_up_count_not_negative"),
        ({"id": ""}, "session_id_not_empty"),
    ],
)
def test_a_session_that_breaks_a_rule_is_refused(db, fields, constraint):
    with pytest.raises(IntegrityError, match=constraint):
        SessionFactory(**fields)


# --- Over HTTP -------------------------------------------------------------------------------------------


def test_users_read_their_own_sessions_newest_first(api, user):
    SessionFactory()
    older, newer = SessionFactory(user=user), SessionFactory(user=user, completed=True)
    assert newer.completed_at is not None
    body = api.get("/api/user/sessions").json()
    assert (body["success"], body["count"]) == (True, 2)
    assert [row["id"] for row in body["data"]] == [newer.pk, older.pk]
    assert body["data"][0] == {
        "id": newer.pk,
        "session_id": newer.pk,
        "service_type": "spiritual_guidance",
        "question": "When should I begin?",
        "guidance_summary": newer.guidance_summary,
        "status": "completed",
        "created_at": newer.created_at.isoformat().replace("+00:00", "Z"),
        "completed_at": newer.completed_at.isoformat().replace("+00:00", "Z"),
        "follow_up_sent": False,
        "follow_up_count": 0,
    }
    assert body["data"][1]["completed_at"] is None


def test_a_page_of_sessions_costs_two_queries_however_long(api, user, django_assert_num_queries):
    SessionFactory.create_batch(30, user=user)
    with django_assert_num_queries(2):
        body = api.get("/api/user/sessions?limit=20&offset=5").json()
    assert (len(body["data"]), body["count"]) == (20, 30)


def test_sessions_are_for_the_signed_in(anonymous, db):
    assert anonymous.get("/api/user/sessions").status_code == 401


# --- Admin site ------------------------------------------------------------------------------------------


def complete_action(browser, *sessions):
    return browser.post(
        "/admin/sessions_app/session/",
        {"action": "complete_sessions", "_selected_action": [session.pk for session in sessions]},
        follow=True,
    )


def test_sessions_are_listed_and_found_by_email(admin_site):
    mine, other = SessionFactory(), SessionFactory()
    text = admin_site.get(
        f"/admin/sessions_app/session/?q={mine.user.email}&status__exact=open"
    ).content.decode()
    assert mine.pk in text
    assert other.pk not in text


def test_the_action_completes_open_sessions_and_says_what_it_could_not(admin_site, announced):
    session, failed = SessionFactory(), SessionFactory(status="failed")
    text = complete_action(admin_site, session, failed).content.decode()
    assert "1 session is completed." in text
    assert f"Session {failed.pk}: This session failed" in text
    assert announced == [session.pk]


def test_a_session_is_added_open_and_its_guidance_written(admin_site, user):
    form = {"id": "s1", "user": user.pk, "service_type": "love", "question": "Who?", "status": "completed"}
    assert admin_site.post("/admin/sessions_app/session/add/", form).status_code == 302
    session = Session.objects.get(pk="s1")
    assert (session.status, session.user) == ("open", user)
    form = {"service_type": "love", "question": "Who?", "guidance_summary": "Soon.", "user": UserFactory().pk}
    assert admin_site.post("/admin/sessions_app/session/s1/change/", form).status_code == 302
    session.refresh_from_db()
    assert (session.guidance_summary, session.user) == ("Soon.", user)


def test_a_completed_session_is_history(admin_site):
    session = SessionFactory(completed=True)
    admin_site.post(
        f"/admin/sessions_app/session/{session.pk}/change/", {"question": "Another", "service_type": "x"}
    )
    assert Session.objects.get().question == session.question
    delete = f"/admin/sessions_app/session/{session.pk}/delete/"
    assert admin_site.post(delete, {"post": "yes"}).status_code == 403


def test_completing_needs_the_permission_to_change(staff, announced):
    session = SessionFactory()
    browser = Client()
    browser.force_login(staff)
    permissions = Permission.objects.filter(content_type__app_label="sessions_app")
    staff.user_permissions.set(permissions.filter(codename="view_session"))
    complete_action(browser, session)
    assert announced == []
    staff.user_permissions.add(permissions.get(codename="change_session"))
    complete_action(browser, session)
    assert announced == [session.pk]
