"""The template editor: what is typed is shown as its reader would get it, and nothing of it is saved."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from rest_framework.test import APIClient

from credits.services import grant
from followups.choices import DirectState
from followups.models import DirectMessage, FollowUpSchedule, FollowUpTemplate, SandboxMessage
from followups.services.direct import deliver_direct
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.services.templates import save_template
from jyotiflow.accounts.limits import StaffThrottle
from jyotiflow.accounts.models import User
from jyotiflow.auditing.models import AuditEntry
from sessions_app.models import Session
from tests.factories import SessionFactory, UserFactory

pytestmark = pytest.mark.django_db

BASE = "/admin/followups/followuptemplate/"
PREVIEW = f"{BASE}preview/"
TYPED = {
    "channel": "sms",
    "template_type": "reminder",
    "subject": "A moment",
    "tamil_subject": "ஒரு கணம்",
    "content": "Dear {{user_name}}, breathe.",
    "tamil_content": "அன்புள்ள {{user_name}}, மூச்சு.",
    "variables": "",
    "credits_cost": "3",
    "has_marks": "yes",
}


@pytest.fixture
def see(admin_site: Client) -> Any:
    """Types into the form; answers what the preview shows."""

    def see(**typed: str) -> str:
        answer = admin_site.post(PREVIEW, TYPED | typed, headers={"HX-Request": "true"})
        assert answer.status_code == 200
        return str(answer.content.decode())

    return see


def marks(page: str, field: str) -> str:
    """What is said at a field."""
    _, _, rest = page.partition(f'<div id="marks-{field}" hx-swap-oob="innerHTML">')
    return rest.partition("</div>")[0]


def allow(user: User, *codenames: str) -> None:
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


# --- The preview -----------------------------------------------------------------------------------------


def test_both_languages_are_shown_and_nothing_is_saved(see: Any) -> None:
    page = see()
    assert "Dear Lakshmi, breathe." in page
    assert "அன்புள்ள லட்சுமி, மூச்சு." in page
    assert not FollowUpTemplate.objects.exists()
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("channel", "shape"),
    [
        ("email", 'name="mail-ta"'),
        ("sms", "bubble sms"),
        ("whatsapp", "bubble whatsapp"),
        ("push", "notification"),
        ("in_app", "inbox-message"),
        ("pigeon", "Choose a channel"),
    ],
)
def test_each_channel_has_its_own_shape(see: Any, channel: str, shape: str) -> None:
    assert shape in see(channel=channel)


def test_a_page_shows_it_where_there_are_no_scripts(admin_site: Client) -> None:
    answer = admin_site.post(PREVIEW, TYPED | {"tamil_content": ""})
    page = answer.content.decode()
    assert "<html" in page
    assert "Dear Lakshmi" in page
    assert "Nothing is saved" in page
    assert "No tamil_content" in page
    assert admin_site.get(PREVIEW).status_code == 405


def test_marks_are_at_their_fields(see: Any) -> None:
    page = see(content="Dear {{nobody}}", tamil_content="{{user_name")
    assert "Unknown variable {{nobody}}" in marks(page, "content")
    assert "forbids" in marks(page, "content")
    assert "no }} that closes it" in marks(page, "tamil_content")
    assert "no }} that closes it" in page.partition('class="looks"')[2]
    page = see(tamil_content="", variables="wish")
    assert "No tamil_content" in marks(page, "tamil_content")
    assert "declared and not used" in marks(page, "variables")
    assert "{{wish}}" in page  # the palette knows it
    page = see(tamil_content="மூச்சு")
    assert "only in English {{user_name}}" in marks(page, "tamil_content")
    assert marks(see(content=""), "content").strip() == ""  # who has only begun is not scolded


def test_a_tamil_text_that_was_left_behind_is_marked(see: Any, make_template: Any) -> None:
    template = make_template(channel="sms")
    same = {
        name: getattr(template, name) for name in ("content", "tamil_content", "subject", "tamil_subject")
    }
    same["template"] = str(template.pk)
    assert marks(see(**same), "tamil_content").strip() == ""
    page = see(**same | {"content": "Dear {{user_name}}, better."})
    assert "changed the English text and not the Tamil" in marks(page, "tamil_content")
    save_template(template=template, fields={"content": "Dear {{user_name}}, better."})
    page = see(**same | {"content": "Dear {{user_name}}, better."})
    assert "which is of version 2; this is of version 1" in marks(page, "tamil_content")
    page = see(**same | {"content": "Dear {{user_name}}!", "tamil_content": "அன்புள்ள {{user_name}}!"})
    assert marks(page, "tamil_content").strip() == ""


def test_segments_are_counted_as_shown_and_the_costly_sign_is_named(see: Any) -> None:
    page = see(content="It’s time. " + "a" * 100, tamil_content="{{user_name}} " + "நன்றி" * 20)
    assert "<strong>2 segments</strong>, UCS-2, 111 units" in page
    assert "“’” (right single quotation mark) in line 1, place 3" in page
    assert "Without it would take 1 segment." in page
    assert "<strong>2 segments</strong>, UCS-2, 108 units" in page
    assert "GSM-7, 22 units" in see()


def test_the_price_is_held_against_what_the_provider_takes(see: Any) -> None:
    assert "isn&#x27;t set" in see() or "isn't set" in see()
    update_settings(changes={"provider_cost_sms": "1.6"})
    page = see(content="a" * 161)
    assert "3 credits earn 3.00." in page
    assert "Its provider takes 3.2." in page
    assert "earns 3.00, and its provider takes 3.20" in marks(page, "credits_cost")
    assert "takes 1.6." in page  # the Tamil text is one segment
    assert marks(see(), "credits_cost").strip() == ""
    assert "5 credits earn 5.00" in see(credits_cost="")
    assert "5 credits earn 5.00" in see(credits_cost="9" * 40)


def test_ids_that_are_missing_are_marked_with_what_happens(see: Any, settings: Any) -> None:
    page = see(channel="whatsapp", whatsapp_content_sid="HX" + "0" * 32)
    assert "only within 24 hours" in marks(page, "tamil_whatsapp_content_sid")
    assert marks(page, "whatsapp_content_sid").strip() == ""
    assert "approved as HX000" in page
    assert '<li value="1">Lakshmi</li>' in page
    assert marks(see(), "dlt_template_id").strip() == ""
    settings.DLT_ENTITY_ID = "1101"
    assert "sold to numbers in India" in marks(see(), "dlt_template_id")


def test_guidance_is_never_shown_where_others_can_read_it(see: Any) -> None:
    text = "Hello {{guidance_summary}}"
    assert "ten quiet breaths" not in see(content=text)
    assert "ten quiet breaths" in see(content=text, channel="in_app")


def test_whatever_is_typed_is_text(see: Any) -> None:
    page = see(content="<script>alert(1)</script> {{user_name}}\x00", variables="<b>, wish")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; Lakshmi" in page
    assert see(content="x" * 20_001).count("At most 20000 characters.") == 2


def test_the_preview_asks_no_more_for_more_versions(see: Any, make_template: Any) -> None:
    template = make_template(channel="sms")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            see(template=str(template.pk))
        return len(captured)

    queries()
    few = queries()
    for number in range(5):
        save_template(template=template, fields={"content": f"Text {number}"})
    queries()  # settings and templates are read once after a change
    assert queries() == few
    assert few < 12


# --- For whom --------------------------------------------------------------------------------------------


@pytest.fixture
def reader(db: None) -> User:
    return UserFactory(email="meena@example.test", name="Meena", preferred_language="ta")


def test_it_is_shown_for_a_person_and_a_session(see: Any, reader: User) -> None:
    session = SessionFactory(user=reader, service_type="birth_chart", completed=True)
    Session.objects.filter(pk=session.pk).update(completed_at=datetime(2026, 3, 5, tzinfo=UTC))
    text = "{{user_name}}: {{service_type}}, {{session_date}}, {{user_email}}"
    page = see(content=text, preview_person="MEENA@example.test")
    assert "As Meena would get it." in page
    assert "Meena: guidance session, a recent day, meena@example.test" in page
    assert f'<option value="{session.pk}">' in page
    page = see(content=text, preview_person=reader.email, preview_session=session.pk)
    assert "Meena: birth chart, 5 March 2026" in page
    other = SessionFactory(service_type="tarot")
    assert "tarot" not in see(content=text, preview_person=reader.email, preview_session=other.pk)


def test_a_part_of_a_name_finds_people(see: Any, reader: User) -> None:
    page = see(preview_person="meen")
    assert f'data-person="{reader.email}"' in page
    assert "Dear Lakshmi" in page
    assert "Nobody is found" in see(preview_person="nobody at all")


def test_people_are_shown_only_to_who_may_see_them(client: Client, staff: User, reader: User) -> None:
    session = SessionFactory(user=reader, service_type="tarot")
    allow(staff, "view_followuptemplate")
    client.force_login(staff)
    typed = TYPED | {"content": "{{user_name}} {{service_type}}"}
    assert client.post(PREVIEW, typed).status_code == 200
    for_reader = typed | {"preview_person": reader.email, "preview_session": session.pk}
    for path in (PREVIEW, f"{PREVIEW}mail/"):
        assert client.post(path, {**for_reader, "language": "en"}).status_code == 403
    allow(staff, "view_user")
    page = client.post(PREVIEW, for_reader).content.decode()
    assert "Meena" in page
    assert "tarot" not in page
    allow(staff, "view_session")
    assert "Meena tarot" in client.post(PREVIEW, for_reader).content.decode()


def test_who_may_only_look_sees_the_saved_text(client: Client, staff: User, make_template: Any) -> None:
    template = make_template(channel="sms", content="As it is saved.")
    allow(staff, "view_followuptemplate")
    client.force_login(staff)
    page = client.get(f"{BASE}{template.pk}/change/").content.decode()
    assert f'name="template" value="{template.pk}"' in page
    for absent in ("preview_person", "data-insert", "test-form", "Apply the newest", "has_marks"):
        assert absent not in page
    shown = client.post(PREVIEW, {"template": str(template.pk)}, headers={"HX-Request": "true"})
    assert "As it is saved." in shown.content.decode()
    assert "hx-swap-oob" not in shown.content.decode()


# --- The mail in its frame ---------------------------------------------------------------------------------


def test_the_mail_is_laid_out_in_a_frame_that_can_do_nothing(admin_site: Client) -> None:
    typed = TYPED | {"language": "ta"}
    answer = admin_site.post(f"{PREVIEW}mail/", typed)
    policy = answer.headers["Content-Security-Policy"]
    assert "sandbox" in policy
    assert "script-src 'none'" in policy
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert "அன்புள்ள லட்சுமி" in answer.content.decode()
    assert admin_site.post(f"{PREVIEW}mail/", typed | {"language": "fr"}).status_code == 404
    assert admin_site.post(f"{PREVIEW}mail/", typed | {"tamil_content": ""}).content == b""


# --- The page itself ---------------------------------------------------------------------------------------


def test_what_waits_is_counted_and_listed(admin_site: Client, follow_up: FollowUpSchedule) -> None:
    page = admin_site.get(f"{BASE}{follow_up.template_id}/change/").content.decode()
    assert "In use by 1 follow-up that waits." in page
    query = f"?template__id__exact={follow_up.template_id}&amp;status__exact=pending"
    assert query in page
    listed = admin_site.get("/admin/followups/followupschedule/" + query.replace("&amp;", "&"))
    assert [row.pk for row in listed.context["cl"].result_list] == [follow_up.pk]


def test_the_page_costs_the_same_however_many_wait(
    admin_site: Client, follow_up: FollowUpSchedule, make_template: Any
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_site.get(f"{BASE}{follow_up.template_id}/change/").status_code == 200
        return len(captured)

    queries()
    few = queries()
    for _ in range(5):
        user = UserFactory()
        grant(user=user, amount=50, reason="test", key=f"x{user.pk}")
        schedule_follow_up(
            user=user, template_id=follow_up.template_id, scheduled_at=now() + timedelta(days=2)
        )
    assert queries() == few
    assert few < 20


# --- Tests of a template -----------------------------------------------------------------------------------


@pytest.fixture
def template(make_template: Any) -> FollowUpTemplate:
    made: FollowUpTemplate = make_template(channel="email")
    return made


def pressed(*, key: int = 1, **change: Any) -> dict[str, str]:
    """What the button of a test sends."""
    return {
        "test_to": "editor@example.test",
        "test_language": "ta",
        "test_key": f"00000000-0000-4000-8000-{key:012}",
        **change,
    }


def test_a_test_arrives_marked_and_free(
    admin_site: Client, template: FollowUpTemplate, django_capture_on_commit_callbacks: Any
) -> None:
    path = f"{BASE}{template.pk}/test/"
    answer = admin_site.post(path, pressed(), headers={"HX-Request": "true"})
    assert "on its way" in answer.content.decode()
    row = DirectMessage.objects.get()
    assert (row.kind, row.language, row.state) == ("test", "ta", DirectState.QUEUED)
    deliver_direct(message_id=row.pk)
    sent = SandboxMessage.objects.get()
    assert sent.subject.startswith("[Test] ")
    assert "நலமா" in sent.body
    assert not FollowUpSchedule.objects.exists()


def test_pressed_twice_it_sends_once(admin_site: Client, template: FollowUpTemplate) -> None:
    path = f"{BASE}{template.pk}/test/"
    for _ in range(2):
        answer = admin_site.post(path, pressed(), follow=True)
        assert "on its way" in answer.content.decode()
    assert DirectMessage.objects.count() == 1
    admin_site.post(path, pressed(key=2))
    assert DirectMessage.objects.count() == 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"test_to": "nobody"}, "email"),
        ({"test_to": "a@example.test\r\nBcc: b@example.test"}, "Use one line."),
        ({"test_to": ""}, "required"),
        ({"test_language": "fr"}, "not one of the available choices"),
        ({"test_key": "x"}, "UUID"),
    ],
)
def test_a_test_that_can_not_go_says_why(
    admin_site: Client, template: FollowUpTemplate, change: dict[str, Any], says: str
) -> None:
    form = pressed(**change)
    answer = admin_site.post(f"{BASE}{template.pk}/test/", form, headers={"HX-Request": "true"})
    assert says in answer.content.decode()
    assert not DirectMessage.objects.exists()


def test_tests_are_limited_as_by_the_api(
    admin_site: Client, admin: User, template: FollowUpTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StaffThrottle, "rate", "3/day", raising=False)
    client = APIClient()
    client.force_authenticate(admin)
    notice = {"channel": "email", "to": "somebody@example.test", "subject": "Hello", "message": "A word."}
    assert client.post("/api/notify/followup", notice, format="json").status_code == 200
    path = f"{BASE}{template.pk}/test/"
    statuses = [admin_site.post(path, pressed(key=number)).status_code for number in range(4)]
    assert statuses == [302, 302, 429, 429]
    assert DirectMessage.objects.filter(kind="test").count() == 2


def test_the_inbox_has_no_addresses_to_send_a_test_to(admin_site: Client, make_template: Any) -> None:
    page = admin_site.get(f"{BASE}{make_template().pk}/change/").content.decode()
    assert "test-form" not in page


# --- Versions ----------------------------------------------------------------------------------------------


def test_two_versions_are_compared_word_by_word(admin_site: Client, template: FollowUpTemplate) -> None:
    save_template(template=template, fields={"content": "Dear {{user_name}}, how was it?"})
    save_template(template=template, fields={"content": "Something else."})
    path = f"{BASE}{template.pk}/versions/"
    page = admin_site.get(path, {"old": 1, "new": 2}).content.decode()
    assert "how <del>are</del><ins>was</ins> <del>you</del><ins>it</ins>?" in page
    assert "From version 2 to version 3" in admin_site.get(path).content.decode()
    assert admin_site.get(f"{path}?old=x&new=99").status_code == 200
    assert admin_site.get(path, {"old": 2, "new": 2}).status_code == 200
    assert f"{BASE}{template.pk}/restore/?version=1" in page


def test_an_old_version_is_restored_once_somebody_said_yes(
    admin_site: Client, template: FollowUpTemplate
) -> None:
    old = template.content
    save_template(template=template, fields={"content": "Something else."})
    path = f"{BASE}{template.pk}/restore/"
    page = admin_site.get(path, {"version": 1}).content.decode()
    assert "<del>Something</del>" in page
    template.refresh_from_db()
    assert template.version == 2
    answer = admin_site.post(path, {"version": 1}, follow=True)
    assert "The text of version 1 is back, as version 3." in answer.content.decode()
    template.refresh_from_db()
    assert (template.version, template.content) == (3, old)
    assert "Restored version 1 as version 3." in str(LogEntry.objects.get())
    assert admin_site.post(path, {"version": 9}).status_code == 404
    assert admin_site.post(path).status_code == 404


def test_a_version_that_may_not_be_saved_any_more_is_refused_in_words(
    admin_site: Client, template: FollowUpTemplate
) -> None:
    template.versions.create(number=0, subject="Hello", content="Dear {{gone}}")
    answer = admin_site.post(f"{BASE}{template.pk}/restore/", {"version": 0}, follow=True)
    assert "Unknown variable {{gone}}" in answer.content.decode()
    template.refresh_from_db()
    assert template.version == 1


# --- What waits with an older text -------------------------------------------------------------------------


def test_the_newest_version_is_applied_on_purpose(admin_site: Client, follow_up: FollowUpSchedule) -> None:
    template = follow_up.template
    path = f"{BASE}{template.pk}/apply/"
    assert "Nothing waits with an older text" in admin_site.get(path).content.decode()
    save_template(template=template, fields={"content": "New.", "tamil_content": "புதியது."})
    page = admin_site.get(path).content.decode()
    assert "1 follow-up waits with an older text." in page
    assert "Their price stays" in page
    follow_up.refresh_from_db()
    assert follow_up.template_version.number == 1
    page = admin_site.post(path, {"version": 2}).content.decode()
    assert "<strong>1</strong> follow-up has the new text now." in page
    follow_up = FollowUpSchedule.objects.get(pk=follow_up.pk)
    assert (follow_up.template_version.number, follow_up.credits_charged) == (2, 5)
    assert "Applied version 2 to 1 follow-up that waited." in str(LogEntry.objects.get())
    entry = AuditEntry.objects.latest("pk")
    assert entry.after == {"applied_version": 2, "to_waiting": 1}
    assert entry.actor == LogEntry.objects.get().user


def test_a_long_one_goes_on_where_it_ended(
    admin_site: Client, follow_up: FollowUpSchedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = follow_up.template
    for _ in range(2):
        user = UserFactory()
        grant(user=user, amount=50, reason="test", key=f"x{user.pk}")
        schedule_follow_up(user=user, template_id=template.pk, scheduled_at=now() + timedelta(days=2))
    save_template(template=template, fields={"content": "New.", "tamil_content": "புதியது."})
    monkeypatch.setattr("followups.admin.templates.applying.SECONDS_A_REQUEST", 0)
    monkeypatch.setattr("followups.admin.templates.applying.ROWS_A_STEP", 1)
    form: dict[str, Any] = {"version": 2}
    told = []
    for _ in range(4):
        context = admin_site.post(f"{BASE}{template.pk}/apply/", form).context
        told.append((context["changed"], context.get("goes_on")))
        form |= {"changed": context["changed"], "after": str(context.get("after") or "")}
    assert told == [(1, True), (2, True), (3, True), (3, False)]
    assert not FollowUpSchedule.objects.exclude(template_version__number=2).exists()
    assert LogEntry.objects.count() == 3  # each with what it changed


def test_a_version_that_was_overtaken_is_not_applied(admin_site: Client, follow_up: FollowUpSchedule) -> None:
    template = follow_up.template
    save_template(template=template, fields={"content": "New."})
    save_template(template=template, fields={"content": "Newer."})
    answer = admin_site.post(f"{BASE}{template.pk}/apply/", {"version": 2})
    assert "The template was changed meanwhile" in answer.content.decode()
    follow_up.refresh_from_db()
    assert follow_up.template_version.number == 1
    assert admin_site.post(f"{BASE}{template.pk}/apply/", {"version": "x"}).status_code == 404


@pytest.mark.parametrize("page", ["test", "restore", "apply", "versions"])
def test_pages_that_change_or_show_are_closed_to_who_may_not(
    client: Client, staff: User, template: FollowUpTemplate, page: str
) -> None:
    client.force_login(staff)
    path = f"{BASE}{template.pk}/{page}/"
    for codenames in ([], ["view_followuptemplate"]):
        allow(staff, *codenames)
        assert client.post(path, {"version": 1}).status_code == 403
