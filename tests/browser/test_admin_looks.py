"""Pictures of the admin's pages, for `make screenshots`; another test examines the pages themselves."""

from typing import Any

import pytest
from django.utils.timezone import now
from playwright.sync_api import expect

from credits.models import CreditAccount
from followups.choices import BulkAction
from followups.models import FollowUpSchedule
from followups.services import bulk
from followups.services.analytics import roll_up_changed_days
from followups.services.settings import update_settings
from followups.services.templates import save_template
from jyotiflow.accounts.models import User
from jyotiflow.health import record_pulse
from tests.browser.conftest import World
from tests.browser.test_looks import EVERY_LOOK, SCREENSHOTS, keep
from tests.factories import UserFactory

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not SCREENSHOTS, reason="only for `make screenshots`"),
]
WINDOWS = {"desktop": 2, "phone": 1}


@pytest.fixture
def boss(transactional_db: None) -> User:
    return UserFactory(admin=True, email="priya@example.test", name="Priya")


def pages_of(world: World, boss: User) -> dict[str, str]:
    """What staff see most, with something to show on each."""
    update_settings(changes={"min_interval_hours": 12, "revenue_per_credit": "2.50"}, actor=boss)
    save_template(
        fields={"credits_cost": 4, "sequence_order": 1}, template=world.pending.template, actor=boss
    )
    change = bulk.choose(actor=boss, action=BulkAction.CANCEL, follow_ups=FollowUpSchedule.objects.all())
    bulk.go_on(change_id=change.pk)
    read = FollowUpSchedule.objects.get(status="read")
    FollowUpSchedule.objects.filter(pk=read.pk).update(delivered_at=now(), read_at=now())
    roll_up_changed_days()
    for part in ("beat", "worker"):
        record_pulse(part)
    account = CreditAccount.objects.get(user=world.reader)
    return {
        "index": "/admin/",
        "dashboard": "/admin/followups/dashboard/",
        "template": f"/admin/followups/followuptemplate/{world.pending.template_id}/change/",
        "follow-ups": "/admin/followups/followupschedule/",
        "timeline": f"/admin/followups/followupschedule/{read.pk}/change/",
        "bulk": f"/admin/followups/bulkchange/{change.pk}/change/",
        "settings": "/admin/followups/settings/",
        "simulate": f"/admin/followups/simulate/?q={world.session.pk}",
        "audit": "/admin/auditing/auditentry/",
        "credits": f"/admin/credits/creditaccount/{account.pk}/change/",
    }


@pytest.mark.parametrize("look", WINDOWS)
@pytest.mark.parametrize("language", ["en", "ta"])
def test_the_admin_s_pages(world: World, boss: User, visit: Any, look: str, language: str) -> None:
    visitor = visit(boss, **EVERY_LOOK[look])
    visitor.open(f"/language/{language}?next=/admin/")
    for name, path in pages_of(world, boss).items():
        visitor.open(path)
        if name == "template":
            expect(visitor.page.locator("#preview .look")).to_have_count(2)
            visitor.page.wait_for_load_state("networkidle")
        visitor.check_fits()
        keep(f"admin-{name}-{language}-{look}", visitor.page, EVERY_LOOK[look]["size"], windows=WINDOWS[look])
