"""Rows of every table, shared with the tests of the admin site."""

from tests.followups.admin.conftest import follow_up, make_rows, sent
from tests.followups.channels.conftest import key_path, private_key, push_channel
from tests.followups.conftest import make_template, provider, rich_user, run_queue

__all__ = [
    "follow_up",
    "key_path",
    "make_rows",
    "make_template",
    "private_key",
    "provider",
    "push_channel",
    "rich_user",
    "run_queue",
    "sent",
]
