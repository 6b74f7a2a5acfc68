"""Templates in the admin site: the editor, its preview and test, versions, and what waits with older ones."""

from followups.admin.templates import editor, versions

__all__ = ["editor", "versions"]
