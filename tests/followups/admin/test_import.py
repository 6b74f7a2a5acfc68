"""Scheduling from a file: read, looked at, confirmed, each row booked once."""

import io
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from openpyxl import Workbook

from credits.selectors import balance_of, imbalances
from credits.services import grant
from followups.choices import BulkItemState, BulkState
from followups.models import BulkChange, BulkItem, FollowUpSchedule
from followups.selectors.bulk import tally_of
from followups.selectors.privacy import export_personal_data
from followups.services import bulk
from followups.services.importing import import_schedule
from followups.services.privacy import erase_person
from jyotiflow.accounts.models import User
from jyotiflow.exceptions import InvalidInput
from jyotiflow.importing import MOST_BYTES, MOST_ROWS, read_rows
from tests.factories import SessionFactory, UserFactory

pytestmark = pytest.mark.django_db

IMPORT = "/admin/followups/followupschedule/import/"
CHANGES = "/admin/followups/bulkchange/"


def csv(*lines: str) -> bytes:
    return "\n".join(lines).encode()


def send(client: Client, content: bytes, name: str = "rows.csv") -> BulkChange:
    answer = client.post(IMPORT, {"file": SimpleUploadedFile(name, content)})
    change = BulkChange.objects.latest("pk")
    assert answer.headers["Location"] == f"{CHANGES}{change.pk}/change/"
    return change


def page(client: Client, change: BulkChange) -> str:
    return " ".join(client.get(f"{CHANGES}{change.pk}/change/").content.decode().split())


def confirm(client: Client, change: BulkChange) -> None:
    client.post(f"{CHANGES}{change.pk}/run/")


def faults(change: BulkChange) -> dict[int, str]:
    return dict(change.items.filter(state=BulkItemState.REFUSED).values_list("number", "reason"))


@pytest.fixture
def template(make_template: Any) -> Any:
    return make_template(
        name="Call",
        channel="email",
        content="Dear {{user_name}}, {{mantra}}",
        variables=["mantra"],
        tamil_content="அன்புள்ள {{user_name}}, {{mantra}}",
    )


def in_days(days: int) -> str:
    return f"{now() + timedelta(days=days):%Y-%m-%d} 10:00"


class TestLooking:
    def test_each_row_tells_what_would_happen_and_its_price(
        self, admin_site: Client, rich_user: User, template: Any
    ) -> None:
        poor = UserFactory()
        rows = csv(
            "email,template,scheduled_at,mantra",
            f"{rich_user.email},call,{in_days(2)},Om",
            f"{poor.email},{template.pk},{in_days(2)},",
        )
        change = send(admin_site, rows)
        text = page(admin_site, change)
        assert "1 will be booked." in text
        assert "5 credits will be charged to their readers." in text
        assert "<li>1: the reader has not enough credits</li>" in text
        assert not FollowUpSchedule.objects.exists()
        assert balance_of(rich_user) == 100

    def test_a_row_that_can_not_be_read_names_its_column_and_the_fix(
        self, admin_site: Client, rich_user: User, template: Any, make_template: Any
    ) -> None:
        make_template(name="Twice", channel="email")
        make_template(name="Twice", channel="in_app")
        who = rich_user.email
        rows = csv(
            "email,template,channel,session_id,scheduled_at,mantra,colour",
            "nobody@example.test,Call,,,,,",
            f"{who},Unknown,,,,,",
            f"{who},Call,sms,,,,",
            f"{who},Twice,,,,,",
            f"{who},Call,,,tomorrow,,",
            f"{who},Call,,,,,blue",
            ",Call,,,,,",
            f"{who},,,,,,",
            f"{who},Call,,no-session,,,",
        )
        change = send(admin_site, rows)
        told = faults(change)
        assert told[2] == "Column email: there is no such user."
        assert told[3] == "Column template: no active one has this name or id."
        assert told[4] == "Column channel: this template goes out by email."
        assert told[5] == "Column template: several have this name: give the channel too, or the id."
        assert told[6] == "Column scheduled_at: write it as 2026-12-01 10:00."
        assert told[7].startswith("Column colour: no column is called so, and the template's variables are: ")
        assert told[8] == "Column email: say who it is for, here or in user_id."
        assert told[9] == "Column template: give a template's name or id."
        assert change.items.get(number=10).code == "session_not_found"
        assert "Yes, do it" not in page(admin_site, change)

    def test_another_s_session_is_no_session_of_theirs(
        self, admin_site: Client, rich_user: User, template: Any
    ) -> None:
        theirs = SessionFactory(completed=True)
        change = send(admin_site, csv("email,template,session_id", f"{rich_user.email},Call,{theirs.pk}"))
        assert change.items.get().code == "session_not_found"

    def test_no_address_is_kept(self, admin_site: Client, rich_user: User, template: Any) -> None:
        send(admin_site, csv("email,template", f"{rich_user.email},Call", "gone@example.test,Call"))
        kept = str(list(BulkItem.objects.values())) + str(list(BulkChange.objects.values()))
        assert "@example.test" not in kept

    def test_rows_ask_for_people_once(self, admin: User, template: Any) -> None:
        def queries(count: int) -> int:
            rows = [f"{UserFactory().email},Call" for _ in range(count)]
            with CaptureQueriesContext(connection) as captured:
                import_schedule(actor=admin, name="x.csv", content=csv("email,template", *rows))
            return len(captured)

        queries(1)
        assert queries(2) == queries(40)


class TestBooking:
    def test_a_confirmed_file_is_booked_through_the_scheduling_service(
        self, admin_site: Client, admin: User, rich_user: User, template: Any
    ) -> None:
        session = SessionFactory(user=rich_user, completed=True)
        at = in_days(2)
        rows = csv(
            "user id;Template;Session ID;Scheduled at;mantra", f"{rich_user.pk};Call;{session.pk};{at};Om"
        )
        change = send(admin_site, rows)
        confirm(admin_site, change)
        follow_up = FollowUpSchedule.objects.get()
        local = follow_up.scheduled_at.astimezone(rich_user.zone)
        assert f"{local:%Y-%m-%d %H:%M}" == at  # the reader's own time
        assert follow_up.custom_variables == {"mantra": "Om"}
        assert follow_up.session == session
        assert balance_of(rich_user) == 95
        assert "5 credits charged." in page(admin_site, change)
        own = admin_site.get(f"/admin/followups/followupschedule/{follow_up.pk}/change/").content.decode()
        assert f"Scheduled from a file by {admin.email}" in own
        assert imbalances() == []

    def test_the_same_file_books_each_row_once(
        self, admin_site: Client, rich_user: User, template: Any
    ) -> None:
        rows = csv("email,template", f"{rich_user.email},Call")
        first, second = send(admin_site, rows), send(admin_site, rows)
        confirm(admin_site, first)
        confirm(admin_site, first)
        confirm(admin_site, second)
        assert FollowUpSchedule.objects.count() == 1
        assert [each.code for each in tally_of(second).refusals] == ["row_booked_before"]
        third = send(admin_site, rows)
        assert [each.code for each in tally_of(third).refusals] == ["row_booked_before"]
        assert balance_of(rich_user) == 95
        assert imbalances() == []

    def test_two_rows_too_near_each_other_are_not_both_booked(
        self, admin_site: Client, rich_user: User, template: Any
    ) -> None:
        row = f"{rich_user.email},Call,{in_days(2)}"
        change = send(admin_site, csv("email,template,scheduled_at", row, row))
        confirm(admin_site, change)
        assert FollowUpSchedule.objects.count() == 1
        assert [each.code for each in tally_of(change).refusals] == ["min_interval"]

    def test_a_price_that_rose_is_not_paid(self, admin_site: Client, rich_user: User, template: Any) -> None:
        change = send(admin_site, csv("email,template", f"{rich_user.email},Call"))
        type(template).objects.update(credits_cost=6)
        confirm(admin_site, change)
        assert [each.code for each in tally_of(change).refusals] == ["price_changed"]
        assert balance_of(rich_user) == 100


@pytest.mark.django_db(transaction=True)
def test_one_file_sent_twice_and_begun_at_once_is_booked_once(
    admin: User, make_template: Any, in_parallel: Any
) -> None:
    make_template(name="Call")
    people = [UserFactory() for _ in range(4)]
    for person in people:
        grant(user=person, amount=50, reason="test", key=f"import:{person.pk}")
    content = csv("email,template", *(f"{person.email},Call" for person in people))
    changes = [import_schedule(actor=admin, name="x.csv", content=content) for _ in range(2)]
    for change in changes:
        bulk.go_on(change_id=change.pk)
        bulk.confirm(change_id=change.pk, actor=admin)
    answers = in_parallel(*(lambda pk=each.pk: bulk.go_on(change_id=pk) for each in changes))
    assert answers == [4, 4]
    assert FollowUpSchedule.objects.count() == 4
    assert {balance_of(person) for person in people} == {45}
    assert imbalances() == []


class TestErasure:
    def test_an_erased_reader_s_rows_are_emptied_and_not_booked(
        self, admin_site: Client, admin: User, rich_user: User, template: Any
    ) -> None:
        rows = csv("email,template,mantra", f"{rich_user.email},Call,A secret")
        change = send(admin_site, rows)
        assert "A secret" in str(export_personal_data(rich_user))
        erase_person(user=rich_user, actor=admin)
        confirm(admin_site, change)
        assert not FollowUpSchedule.objects.exists()
        item = BulkItem.objects.get()
        assert (item.order, item.state, item.code) == ({}, BulkItemState.REFUSED, "user_inactive")


class TestReading:
    def test_a_workbook_reads_as_a_csv_does(self) -> None:
        book = Workbook()
        sheet: Any = book.active
        sheet.append(["Email", "Template", "Scheduled at", "user_id"])
        moment = datetime(2026, 12, 1, 10)  # noqa: DTZ001  a sheet knows no zones
        sheet.append(["a@example.test", " Call ", moment, 7.0])
        sheet.append([None, None, None, None])
        sheet.append(["b@example.test", "'=1+1", None, None])
        file = io.BytesIO()
        book.save(file)
        assert read_rows(name="rows.xlsx", content=file.getvalue()) == [
            {
                "email": "a@example.test",
                "template": "Call",
                "scheduled_at": "2026-12-01 10:00:00",
                "user_id": "7",
                "row": "2",
            },
            {"email": "b@example.test", "template": "=1+1", "row": "4"},
        ]

    @pytest.mark.parametrize(
        ("name", "content", "told"),
        [
            ("a.csv", b"", "empty"),
            ("a.csv", b"email,template\n", "no rows"),
            ("a.csv", b"email,email\nx,y\n", "once"),
            ("a.csv", "email\nä\n".encode("latin-1"), "UTF-8"),
            ("a.csv", b"email\n\0\n", "neither"),
            ("a.csv", b"x" * (MOST_BYTES + 1), "larger"),
            ("a.csv", b"email\n" + b"x\n" * (MOST_ROWS + 1), "rows"),
            ("a.xlsx", b"no workbook", "can't be read"),
            ("a.xlsx", b"PK\x03\x04broken", "can't be read"),
        ],
    )
    def test_a_file_that_is_none_says_how_to_mend_it(self, name: str, content: bytes, told: str) -> None:
        with pytest.raises(InvalidInput, match=told):
            read_rows(name=name, content=content)

    def test_the_page_shows_the_fault_of_a_file(self, admin_site: Client) -> None:
        answer = admin_site.post(IMPORT, {"file": SimpleUploadedFile("a.csv", b"email\n")})
        assert "There are no rows below the titles." in answer.content.decode()
        assert not BulkChange.objects.exists()

    def test_the_example_can_be_sent_as_it_is(self, admin_site: Client, make_template: Any) -> None:
        example = admin_site.get(f"{IMPORT}example/").content
        change = send(admin_site, example)
        assert faults(change) == {2: "Column email: there is no such user."}
        assert change.state == BulkState.READY


def test_only_who_may_add_follow_ups_sends_a_file(client: Client, staff: User) -> None:
    staff.user_permissions.add(Permission.objects.get(codename="view_followupschedule"))
    client.force_login(staff)
    assert client.get(IMPORT).status_code == 403
    assert client.post(IMPORT, {"file": SimpleUploadedFile("a.csv", b"email\nx")}).status_code == 403
    assert "Schedule from a file" not in client.get("/admin/followups/followupschedule/").content.decode()
    assert not BulkChange.objects.exists()
