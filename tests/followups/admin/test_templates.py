"""Templates in the admin site: saved as new versions, checked on the form, archived when in use."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from followups.composing import render_message
from followups.models import FollowUpSchedule, FollowUpTemplate
from jyotiflow.accounts.models import User

pytestmark = pytest.mark.django_db

LIST = "/admin/followups/followuptemplate/"
FORM = {
    "name": "Pongal greeting",
    "tamil_name": "பொங்கல் வாழ்த்து",
    "template_type": "session_followup",
    "channel": "email",
    "subject": "Happy Pongal, {{user_name}}",
    "tamil_subject": "பொங்கல் வாழ்த்துகள், {{user_name}}",
    "content": "Dear {{user_name}},\r\n\r\nmay your {{wish}} come true.",
    "tamil_content": "அன்புள்ள {{user_name}},\r\n\r\nஉங்கள் {{wish}} நிறைவேறட்டும்.",
    "variables": "wish",
    "service_types": "tarot, birth_chart",
    "credits_cost": "3",
    "is_active": "on",
    "delay_hours": "24",
    # What the page itself sends for the versions it shows.
    "versions-TOTAL_FORMS": "0",
    "versions-INITIAL_FORMS": "0",
}


def change_path(template: FollowUpTemplate) -> str:
    return f"{LIST}{template.pk}/change/"


@pytest.fixture
def template(admin_site: Client) -> FollowUpTemplate:
    """One saved through the admin's own form."""
    answer = admin_site.post(f"{LIST}add/", FORM)
    assert answer.status_code == 302, answer.context["errors"]
    return FollowUpTemplate.objects.get()


def test_a_new_template_has_its_first_version(template: FollowUpTemplate, admin: User) -> None:
    version = template.versions.get()
    assert (template.version, version.number, version.created_by) == (1, 1, admin)
    assert version.content == "Dear {{user_name}},\n\nmay your {{wish}} come true."
    assert template.variables == ["user_name", "wish"]
    assert template.service_types == ["tarot", "birth_chart"]
    assert LogEntry.objects.get().object_id == str(template.pk)


def test_a_changed_text_is_a_new_version_and_what_was_bought_stays(
    admin_site: Client, follow_up: FollowUpSchedule
) -> None:
    bought = follow_up.template
    form = FORM | {"content": "Entirely new.", "tamil_content": "முற்றிலும் புதியது.", "variables": ""}
    answer = admin_site.post(change_path(bought), form, follow=True)
    bought.refresh_from_db()
    assert bought.version == 2
    assert "This is version 2." in answer.content.decode()
    follow_up = FollowUpSchedule.objects.get(pk=follow_up.pk)
    assert follow_up.template_version.number == 1
    assert "how are you?" in render_message(follow_up, is_private=True).body


def test_an_unchanged_text_makes_no_version(admin_site: Client, template: FollowUpTemplate) -> None:
    answer = admin_site.post(change_path(template), FORM | {"credits_cost": "7"}, follow=True)
    template.refresh_from_db()
    assert (template.version, template.credits_cost) == (1, 7)
    assert "This is version" not in answer.content.decode()
    assert "Credits cost" in str(LogEntry.objects.first())
    assert "Content" not in str(LogEntry.objects.first())


@pytest.mark.parametrize(
    ("fields", "at", "says"),
    [
        ({"content": "Dear {{user_nmae}}"}, "content", "Unknown variable {{user_nmae}}"),
        ({"tamil_content": "அன்புள்ள {{user_name"}, "tamil_content", "no }} that closes it"),
        ({"subject": "Hello {{Wish}}"}, "subject", "is not a variable"),
        ({"tamil_subject": "{{unknown}}"}, "tamil_subject", "Unknown variable"),
        ({"variables": "wish, Bad Name"}, "variables", "small letters"),
        ({"content": ""}, "content", "required"),
        ({"credits_cost": "-1"}, "credits_cost", "greater than or equal to 0"),
        ({"service_types": "x" * 51}, "service_types", "at most 50"),
        ({"channel": "pigeon"}, "channel", "not one of the available choices"),
    ],
)
def test_a_fault_is_told_at_its_field_and_nothing_is_saved(
    admin_site: Client, template: FollowUpTemplate, fields: dict[str, str], at: str, says: str
) -> None:
    answer = admin_site.post(change_path(template), FORM | fields)
    assert answer.status_code == 200
    errors = answer.context["adminform"].form.errors
    assert list(errors) == [at]
    assert len(errors[at]) == 1
    assert says in errors[at][0]
    template.refresh_from_db()
    assert (template.version, template.channel) == (1, "email")


def test_warnings_are_told_and_the_template_is_saved(admin_site: Client) -> None:
    answer = admin_site.post(f"{LIST}add/", FORM | {"tamil_content": "", "tamil_subject": ""}, follow=True)
    assert "No tamil_content: Tamil readers get the English text." in answer.content.decode()
    assert FollowUpTemplate.objects.get().version == 1


def test_the_form_shows_what_the_author_declared(admin_site: Client, template: FollowUpTemplate) -> None:
    form = admin_site.get(change_path(template)).context["adminform"].form
    assert form["variables"].value() == "wish"
    assert form["service_types"].value() == "tarot, birth_chart"


def test_a_template_in_use_is_archived_and_the_message_says_so(
    admin_site: Client, follow_up: FollowUpSchedule
) -> None:
    template = follow_up.template
    path = f"{LIST}{template.pk}/delete/"
    assert "else archived" in admin_site.get(path).content.decode()
    answer = admin_site.post(path, {"post": "yes"}, follow=True)
    assert "is in use, so it is archived" in answer.content.decode()
    assert "was deleted" not in answer.content.decode()
    template.refresh_from_db()
    assert template.archived_at is not None
    assert not template.is_active
    assert "Archived" in str(LogEntry.objects.get())


def test_a_template_nobody_used_is_deleted_with_its_versions(
    admin_site: Client, template: FollowUpTemplate
) -> None:
    answer = admin_site.post(f"{LIST}{template.pk}/delete/", {"post": "yes"}, follow=True)
    assert "was deleted successfully" in answer.content.decode()
    assert not FollowUpTemplate.objects.exists()
    assert LogEntry.objects.latest("pk").is_deletion()


def test_templates_are_not_deleted_in_bulk(admin_site: Client, template: FollowUpTemplate) -> None:
    forged = {"action": "delete_selected", "_selected_action": template.pk, "post": "yes"}
    admin_site.post(LIST, forged)
    assert FollowUpTemplate.objects.filter(pk=template.pk).exists()


def test_switching_an_archived_template_on_takes_it_out_of_the_archive(
    admin_site: Client, follow_up: FollowUpSchedule
) -> None:
    template = follow_up.template
    admin_site.post(f"{LIST}{template.pk}/delete/", {"post": "yes"})
    answer = admin_site.post(change_path(template), FORM | {"variables": "wish"})
    assert answer.status_code == 302
    template.refresh_from_db()
    assert template.is_active
    assert template.archived_at is None


def test_the_list_shows_names_prices_and_order(admin_site: Client, make_template: Any) -> None:
    make_template(name="Priced", tamil_name="விலை", credits_cost=12, sequence_order=4)
    make_template(name="Unpriced", credits_cost=None)
    text = admin_site.get(LIST).content.decode()
    for shown in ("விலை", ">12<", ">4<", ">default<", "In-app"):
        assert shown in text, shown
    found = admin_site.get(LIST, {"q": "விலை", "channel__exact": "in_app"}).context["cl"].result_list
    assert [template.name for template in found] == ["Priced"]
    for query in ({"automatic": "yes"}, {"archived": "no", "automatic": "yes"}, {"is_active__exact": "1"}):
        found = admin_site.get(LIST, query).context["cl"].result_list
        assert {template.name for template in found} >= {"Priced"}, query
    assert not admin_site.get(LIST, {"archived": "yes"}).context["cl"].result_list
    found = admin_site.get(LIST, {"automatic": "no"}).context["cl"].result_list
    assert [template.name for template in found] == ["Unpriced"]


def test_a_version_s_page_shows_both_languages(admin_site: Client, template: FollowUpTemplate) -> None:
    path = reverse("admin:followups_templateversion_change", args=[template.versions.get().pk])
    text = admin_site.get(path).content.decode()
    assert "may your {{wish}} come true" in text
    assert "நிறைவேறட்டும்" in text
    assert 'name="content"' not in text
