"""The audit's tests make follow-ups as their own tests do."""

from tests.followups.admin.conftest import follow_up, make_rows, sent
from tests.followups.conftest import make_template, rich_user, run_queue

__all__ = ["follow_up", "make_rows", "make_template", "rich_user", "run_queue", "sent"]
