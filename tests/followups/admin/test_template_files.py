"""Templates written to a file and read in from one."""

import json
from datetime import time
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from followups.models import FollowUpTemplate, TemplateVersion
from followups.services.template_files import export_templates, import_templates, read_templates
from followups.services.templates import save_template
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import InvalidInput
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db

LIST = "/admin/followups/followuptemplate/"
IMPORT = f"{LIST}import/"


@pytest.fixture
def written(make_template: Any) -> list[dict[str, Any]]:
    """Two templates as a file has them."""
    first = make_template(name="Call", channel="email", content="{{mantra}}", variables=["mantra"])
    second = make_template(name="Thanks", sequence_order=1, service_types=["tarot"], local_time=time(9, 30))
    return export_templates([first, second])


def test_what_was_written_is_read_in_elsewhere_as_it_was(written: list[dict[str, Any]], admin: User) -> None:
    FollowUpTemplate.objects.all().delete()
    outcomes = import_templates(read_templates(json.dumps(written).encode()), actor=admin, dry_run=False)
    assert [(each.is_new, each.faults) for each in outcomes] == [(True, ()), (True, ())]
    assert export_templates(FollowUpTemplate.objects.order_by("name")) == written


def test_read_in_again_nothing_changes(written: list[dict[str, Any]], admin: User) -> None:
    versions = TemplateVersion.objects.count()
    outcomes = import_templates(written, actor=admin, dry_run=False)
    assert not any(each.changed or each.faults or each.is_new for each in outcomes)
    assert TemplateVersion.objects.count() == versions


def test_a_change_is_told_by_its_fields_and_makes_a_version(
    written: list[dict[str, Any]], admin: User
) -> None:
    written[1] |= {"content": "Thank you, {{user_name}}.", "credits_cost": 7}
    outcomes = import_templates(written, actor=admin, dry_run=True)
    assert [list(each.changed) for each in outcomes] == [[], ["content", "credits_cost"]]
    template = FollowUpTemplate.objects.get(name="Thanks")
    assert (template.version, template.credits_cost) == (1, 5)  # a look changes nothing
    import_templates(written, actor=admin, dry_run=False)
    template.refresh_from_db()
    assert (template.version, template.credits_cost) == (2, 7)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"content": "{{nobody}}"}, "content"),
        ({"channel": "pigeon"}, "channel"),
        ({"credits_cost": -1}, "credits_cost"),
        ({"credits_cost": "5"}, "credits_cost"),
        ({"delay_hours": True}, "delay_hours"),
        ({"local_time": "noon"}, "local_time"),
        ({"service_types": [1]}, "service_types"),
        ({"name": None}, "name"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_one_with_a_fault_is_left_out_and_says_which_field(
    written: list[dict[str, Any]], admin: User, change: dict[str, Any], told: str
) -> None:
    written[0] |= change
    written[1]["credits_cost"] = 9
    faulty, other = import_templates(written, actor=admin, dry_run=False)
    assert faulty.faults[0].startswith(told)
    assert list(other.changed) == ["credits_cost"]
    assert FollowUpTemplate.objects.get(name="Thanks").credits_cost == 9
    assert FollowUpTemplate.objects.get(name="Call").content == "{{mantra}}"


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"[1]", b"no json", b"[" * 100_000, b"\xff"])
def test_what_is_no_such_file_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_templates(content)


def test_in_the_admin_site_it_is_written_looked_at_and_read_in(
    admin_site: Client, written: list[dict[str, Any]]
) -> None:
    ids = list(FollowUpTemplate.objects.values_list("pk", flat=True))
    file = admin_site.post(LIST, {"action": "export_selected", "_selected_action": ids}).content
    assert {each["name"] for each in json.loads(file)} == {"Call", "Thanks"}
    save_template(template=FollowUpTemplate.objects.get(name="Call"), fields={"credits_cost": 8})
    look = admin_site.post(IMPORT, {"file": SimpleUploadedFile("t.json", file)})
    assert "1 template would be saved." in look.content.decode()
    assert FollowUpTemplate.objects.get(name="Call").credits_cost == 8
    done = admin_site.post(IMPORT, {"text": look.context["text"], "confirmed": "yes"})
    assert "1 template saved." in done.content.decode()
    assert FollowUpTemplate.objects.get(name="Call").credits_cost == 5


def test_only_who_may_write_templates_reads_a_file_in(client: Client) -> None:
    client.force_login(UserFactory(staff=True))
    assert client.get(IMPORT).status_code == 403
    assert client.post(IMPORT, {"text": "[{}]", "confirmed": "yes"}).status_code == 403
    assert not FollowUpTemplate.objects.exists()
