"""Previews, tests and notices over HTTP: who may, what they show, what they refuse."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from rest_framework.test import APIClient

from followups.models import DirectMessage, FollowUpSchedule, SandboxMessage
from followups.services.direct import deliver_direct
from jyotiflow.accounts.models import User
from jyotiflow.accounts.services import ensure_staff_groups
from tests.factories import SessionFactory, UserFactory

pytestmark = pytest.mark.django_db

NOTIFY = "/api/notify/followup"
WORDS = {"channel": "email", "to": "a@example.test", "subject": "Hello", "message": "A word."}


def path_of(template: Any, what: str) -> str:
    return f"/api/followup/admin/templates/{template.pk}/{what}"


def member_of(group: str) -> APIClient:
    ensure_staff_groups()
    person = UserFactory(staff=True)
    person.groups.add(Group.objects.get(name=group))
    client = APIClient()
    client.force_authenticate(person)
    return client


class TestPreview:
    def test_without_anybody_it_shows_fallbacks(self, admin_api: APIClient, make_template: Any) -> None:
        template = make_template(channel="email", content="**Dear** {{user_name}} & all", tamil_content="")
        answer = admin_api.post(path_of(template, "preview"), {}, format="json")
        assert answer.status_code == 200, answer.json()
        data = answer.json()["data"]
        assert (data["language"], data["subject"]) == ("en", "How are you, friend?")
        assert data["body"] == "Dear friend & all"
        assert data["body"] in data["text"]
        assert "<strong>Dear</strong> friend &amp; all" in data["html"]
        assert data["segments"] is None
        assert "No tamil_content: Tamil readers get the English text." in data["warnings"]

    def test_for_somebody_it_shows_their_words_in_their_language(
        self, admin_api: APIClient, make_template: Any
    ) -> None:
        reader = UserFactory(preferred_language="ta", name="லட்சுமி")
        session = SessionFactory(user=reader, completed=True)
        template = make_template(tamil_content="{{user_name}}: {{guidance_summary}}")
        body = {"user_email": reader.email, "session_id": session.pk}
        data = admin_api.post(path_of(template, "preview"), body, format="json").json()["data"]
        assert (data["language"], data["body"]) == ("ta", f"லட்சுமி: {session.guidance_summary}")
        data = admin_api.post(path_of(template, "preview"), {**body, "language": "en"}, format="json").json()[
            "data"
        ]
        assert (data["language"], data["body"]) == ("en", "Dear லட்சுமி, how are you?")

    def test_an_sms_shows_what_it_takes_and_which_character_made_it_so(
        self, admin_api: APIClient, make_template: Any
    ) -> None:
        template = make_template(channel="sms", content="🕉 " + "x" * 100)
        data = admin_api.post(path_of(template, "preview"), {}, format="json").json()["data"]
        assert data["segments"] == {"encoding": "UCS-2", "units": 103, "count": 2, "culprit": "🕉"}
        assert any("2 SMS segments" in warning for warning in data["warnings"])

    def test_guidance_is_not_shown_where_others_could_read_it(
        self, admin_api: APIClient, make_template: Any
    ) -> None:
        session = SessionFactory(completed=True)
        template = make_template(channel="push", content="{{guidance_summary}}")
        body = {"user_email": session.user.email, "session_id": session.pk}
        data = admin_api.post(path_of(template, "preview"), body, format="json").json()["data"]
        assert data["body"] == "Your guidance is waiting for you in JyotiFlow."

    def test_nobody_s_unsubscribe_link_is_in_it(self, admin_api: APIClient, make_template: Any) -> None:
        reader = UserFactory()
        data = admin_api.post(
            path_of(make_template(channel="email"), "preview"), {"user_email": reader.email}, format="json"
        ).json()["data"]
        link = next(word for word in data["text"].split() if "/u/" in word)
        APIClient().post(link.partition("testserver")[2] or "/" + link.split("/", 3)[3])
        assert not hasattr(User.objects.get(pk=reader.pk), "follow_up_preference")

    def test_who_may_not_see_people_sees_none(self, make_template: Any, refused: Any) -> None:
        session = SessionFactory(completed=True)
        path, editor = path_of(make_template(), "preview"), member_of("Template editors")
        assert editor.post(path, {}, format="json").status_code == 200
        for body in ({"user_email": session.user.email}, {"session_id": session.pk}):
            refused(editor.post(path, body, format="json"), 403, "permission_denied")
        both = {"user_email": session.user.email, "session_id": session.pk}
        assert member_of("Operators").post(path, both, format="json").status_code == 200

    def test_only_the_user_s_own_session(
        self, admin_api: APIClient, make_template: Any, refused: Any
    ) -> None:
        path, session = path_of(make_template(), "preview"), SessionFactory(completed=True)
        stranger = UserFactory()
        body = {"user_email": stranger.email, "session_id": session.pk}
        refused(admin_api.post(path, body, format="json"), 404, "session_not_found")
        refused(admin_api.post(path, {"user_email": "no@body.test"}, format="json"), 404, "user_not_found")
        refused(admin_api.post(path, {"session_id": session.pk}, format="json"), 400, field="user_email")
        refused(admin_api.post(path, {"language": "fr"}, format="json"), 400, field="language")
        refused(admin_api.post(path, {"content": "other"}, format="json"), 400, field="content")


class TestTest:
    def test_it_is_queued_and_sent_once_it_is_stored(
        self, admin_api: APIClient, admin: User, make_template: Any, django_capture_on_commit_callbacks: Any
    ) -> None:
        path = path_of(make_template(channel="email"), "test")
        with django_capture_on_commit_callbacks(execute=True) as published:
            answer = admin_api.post(path, {"to": "me@example.test", "language": "ta"}, format="json")
        assert answer.status_code == 200, answer.json()
        row = DirectMessage.objects.get(actor=admin)
        assert answer.json() == {
            "success": True,
            "message": "The test message is on its way.",
            "message_id": str(row.pk),
        }
        assert len(published) == 1
        deliver_direct(message_id=row.pk)
        assert SandboxMessage.objects.get().to == "me@example.test"
        assert not FollowUpSchedule.objects.exists()

    def test_a_repeat_with_its_key_sends_no_second_one(
        self, admin_api: APIClient, make_template: Any
    ) -> None:
        path = path_of(make_template(channel="email"), "test")
        answers = [
            admin_api.post(path, {"to": "me@x.test"}, format="json", headers={"Idempotency-Key": "k"})
            for _ in range(3)
        ]
        assert len({answer.content for answer in answers}) == 1
        assert DirectMessage.objects.count() == 1

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "to"),
            ({"to": ""}, "to"),
            ({"to": "a@b.test\r\nBcc: c@d.test"}, "to"),
            ({"to": "not an address"}, "to"),
            ({"to": ["a@b.test", "c@d.test"]}, "to"),
            ({"to": "a@b.test", "credits_cost": 0}, "credits_cost"),
        ],
    )
    def test_one_address_and_nothing_else(
        self, admin_api: APIClient, make_template: Any, refused: Any, body: dict[str, Any], field: str
    ) -> None:
        path = path_of(make_template(channel="email"), "test")
        refused(admin_api.post(path, body, format="json"), 400, field=field)
        assert not DirectMessage.objects.exists()

    def test_an_archived_template_is_not_found(
        self, admin_api: APIClient, make_template: Any, refused: Any
    ) -> None:
        template = make_template(channel="email")
        type(template).objects.filter(pk=template.pk).update(is_active=False, archived_at="2026-01-01T00:00Z")
        refused(admin_api.post(path_of(template, "test"), {"to": "a@b.test"}, format="json"), 404)


class TestNotice:
    def test_it_is_queued_on_record(self, admin_api: APIClient, admin: User) -> None:
        answer = admin_api.post(NOTIFY, WORDS, format="json")
        assert answer.status_code == 200, answer.json()
        row = DirectMessage.objects.get(pk=answer.json()["message_id"])
        assert (row.kind, row.actor, row.subject, row.body) == ("notice", admin, "Hello", "A word.")

    def test_a_push_goes_to_its_device(self, admin_api: APIClient) -> None:
        for words in ({"device_token": "token-1"}, {"to": "a@b.test", "device_token": "token-1"}):
            body = {"channel": "push", "subject": "Hello", "message": "A word.", **words}
            answer = admin_api.post(NOTIFY, body, format="json")
            assert answer.status_code == 200, answer.json()
            assert DirectMessage.objects.get(pk=answer.json()["message_id"]).to == "token-1"

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"channel": "pigeon"}, "channel"),
            ({"to": "nobody"}, "to"),
            ({"to": "\n"}, "to"),
            ({"subject": ""}, "subject"),
            ({"subject": "x" * 201}, "subject"),
            ({"message": ""}, "message"),
            ({"message": "x\x00"}, "message"),
            ({"from": "ceo@jyotiflow.test"}, "from"),
            ({"channel": "in_app"}, "to"),
        ],
    )
    def test_nonsense_is_refused(
        self, admin_api: APIClient, refused: Any, change: dict[str, Any], field: str
    ) -> None:
        refused(admin_api.post(NOTIFY, {**WORDS, **change}, format="json"), 400, field=field)
        assert not DirectMessage.objects.exists()

    def test_without_any_address(self, admin_api: APIClient, refused: Any) -> None:
        body = {name: value for name, value in WORDS.items() if name != "to"}
        refused(admin_api.post(NOTIFY, body, format="json"), 400, field="to")

    def test_readers_and_staff_without_leave_may_not(self, api: APIClient, refused: Any) -> None:
        refused(api.post(NOTIFY, WORDS, format="json"), 403)
        refused(member_of("Template editors").post(NOTIFY, WORDS, format="json"), 403)
