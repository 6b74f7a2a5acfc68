"""The preview: what is typed, as its reader would see it. Nothing is saved."""

from dataclasses import dataclass
from typing import Final

from csp.decorators import csp
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_POST

from followups.admin.deliveries import MAIL_POLICY
from followups.admin.searching import as_uuid
from followups.admin.templates.forms import LABELS, MARKED, NamesField
from followups.admin.templates.palette import palette
from followups.conf import channel_choices
from followups.models import TEXT_FIELDS, FollowUpTemplate
from followups.rendering import STANDARD_VARIABLES, clean, is_storable
from followups.selectors.drafts import Look, examine_draft, look_at
from jyotiflow.accounts.models import Language, User
from jyotiflow.accounts.selectors import people_like, user_by_email
from sessions_app.models import Session

PEOPLE_SHOWN: Final = 8
SESSIONS_SHOWN: Final = 20
TYPED: Final = ("channel", "template_type", *(name for name in TEXT_FIELDS if name != "variables"))
LONGEST_PRICE: Final = 7  # digits; what is typed may be anything


@dataclass(frozen=True)
class For:
    """For whom a preview is: ``person`` as typed, who that may be, and what was chosen."""

    person: str
    people: list[User]
    user: User | None
    sessions: list[Session]
    session: Session | None


@require_POST
def preview_page(request: HttpRequest) -> HttpResponse:
    """What is typed in both languages, with its marks: a part of the page for htmx, else a page."""
    _ask_for_permission(request)
    template, declared = draft_of(request)
    reader = _for_whom(request)
    draft = examine_draft(template, declared=declared, user=reader.user, session=reader.session)
    context = {
        "opts": FollowUpTemplate._meta,
        "template": template,
        "looks": draft.looks,
        "marks": [(name, LABELS[name], draft.marks.get(name, ())) for name in MARKED],
        "mail_fields": {
            look.language: _mail_fields(template, look, declared, reader) for look in draft.looks
        },
        "reader": reader,
        "palette": palette(declared),
        "has_marks": request.POST.get("has_marks") == "yes",
    }
    if request.headers.get("HX-Request") == "true":
        return render(request, "admin/followups/followuptemplate/_preview.html", context)
    page = {**admin.site.each_context(request), **context}
    return render(request, "admin/followups/followuptemplate/preview.html", page)


@require_POST
@csp(MAIL_POLICY)
@xframe_options_sameorigin
def mail_page(request: HttpRequest) -> HttpResponse:
    """The mail of what is typed, for the frame in the preview: it styles itself and does nothing else."""
    _ask_for_permission(request)
    language = request.POST.get("language", "")
    if language not in Language.values:
        raise Http404
    template, _declared = draft_of(request)
    reader = _for_whom(request)
    template.channel = "email"
    look = look_at(template, language, user=reader.user, session=reader.session)
    return HttpResponse(look.rendered.html if look.rendered else "")


def draft_of(request: HttpRequest) -> tuple[FollowUpTemplate, list[str]]:
    """The template as typed, not saved, and its author's own variables.

    What isn't typed, on a page that only shows, is as it's stored.
    """
    typed = request.POST
    key = as_uuid(typed.get("template", ""))
    stored = FollowUpTemplate.objects.filter(pk=key).first() if key else None
    template = stored or FollowUpTemplate()
    for name in TYPED:
        if name in typed:
            setattr(template, name, clean(typed[name]))
    if template.channel not in dict(channel_choices()):
        template.channel = ""
    if "variables" in typed:
        names = NamesField().to_python(typed["variables"])
        template.variables = [name for name in names if is_storable(name)]
    if "credits_cost" in typed:
        price = typed["credits_cost"].strip()
        is_price = price.isascii() and price.isdecimal() and len(price) <= LONGEST_PRICE
        template.credits_cost = int(price) if is_price else None
    return template, [name for name in template.variables if name not in STANDARD_VARIABLES]


def _for_whom(request: HttpRequest) -> For:
    """Whom it's rendered for; a person's words are shown only to who may see them anyway."""
    person = clean(request.POST.get("preview_person", "")).strip()[:254]
    if not person:
        return For("", [], None, [], None)
    if not request.user.has_perm("accounts.view_user"):
        raise PermissionDenied
    user = user_by_email(person)
    if user is None:
        found = User.objects.filter(pk__in=people_like(person)).order_by("email")[:PEOPLE_SHOWN]
        return For(person, list(found), None, [], None)
    if not request.user.has_perm("sessions_app.view_session"):
        return For(person, [], user, [], None)
    sessions = list(Session.objects.filter(user=user).defer("question")[:SESSIONS_SHOWN])
    wanted = request.POST.get("preview_session", "")
    return For(person, [], user, sessions, next((each for each in sessions if each.pk == wanted), None))


def _mail_fields(
    template: FollowUpTemplate, look: Look, declared: list[str], reader: For
) -> list[tuple[str, str]]:
    """What the mail's frame is asked with."""
    if look.rendered is None or not look.rendered.html:
        return []
    names = ("subject", "tamil_subject", "content", "tamil_content")
    return [
        ("language", look.language),
        ("variables", ", ".join(declared)),
        ("preview_person", reader.person),
        ("preview_session", reader.session.pk if reader.session else ""),
        *((name, getattr(template, name)) for name in names),
    ]


def _ask_for_permission(request: HttpRequest) -> None:
    if not admin.site.get_model_admin(FollowUpTemplate).has_view_permission(request):
        raise PermissionDenied
