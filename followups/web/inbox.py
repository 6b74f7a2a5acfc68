"""The in-app inbox: opening a message marks it read."""

from collections.abc import Mapping
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject
from django.views.decorators.http import require_safe

from followups.selectors.center import inbox_message_of, inbox_page, unread_of
from followups.services.receipts import mark_read
from followups.web.readers import ReaderRequest, for_reader, show
from jyotiflow.accounts.models import User

SECTION = "inbox"


@for_reader
@require_safe
def inbox(request: ReaderRequest) -> HttpResponse:
    """The messages, newest first."""
    return show(
        request, "inbox.html", {"page": inbox_page(request.user, request.GET.get("page"))}, section=SECTION
    )


@for_reader
@require_safe
def message(request: ReaderRequest, follow_up_id: UUID) -> HttpResponse:
    """One message. Opening it is reading it: a GET, as in any mailbox, but not a HEAD."""
    opened = inbox_message_of(request.user, follow_up_id)
    if request.method == "GET":
        mark_read(follow_up=opened.follow_up)
    return show(request, "message.html", {"message": opened}, section=SECTION)


def unread(request: HttpRequest) -> Mapping[str, object]:
    """For every template: ``unread``, counted only where it's shown."""
    user = getattr(request, "user", None)
    return {"unread": SimpleLazyObject(lambda: unread_of(user))} if isinstance(user, User) else {}
