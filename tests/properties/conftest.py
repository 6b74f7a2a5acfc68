"""What the properties share with the tests of follow-ups."""

from tests.followups.conftest import make_template, rich_user

__all__ = ["make_template", "rich_user"]
