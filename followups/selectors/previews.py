"""A template as its reader would get it. Nothing is sent or stored."""

from collections.abc import Sequence
from dataclasses import dataclass

from followups.channels import get_channel
from followups.composing import Rendered, render_version, values_for
from followups.linting import TEXTS, lint
from followups.models import FollowUpTemplate
from followups.rendering import STANDARD_VARIABLES
from followups.segments import Segments, count_segments
from followups.selectors.margins import margin_of
from followups.selectors.settings import effective_settings
from jyotiflow.accounts.models import Language, User
from sessions_app.models import Session

NOBODY = 0  # a preview's unsubscribe link leads nowhere


@dataclass(frozen=True)
class Preview:
    """What would be sent: ``segments`` where it's counted in them, ``warnings`` as at saving.

    ``language`` is the one it's told in: English where there is no Tamil text.
    """

    language: str
    rendered: Rendered
    segments: Segments | None
    warnings: Sequence[str]


def preview(
    template: FollowUpTemplate,
    *,
    language: str = "",
    user: User | None = None,
    session: Session | None = None,
) -> Preview:
    """Render a template, saved or not, whose texts are valid.

    For a user in their language unless ``language`` says otherwise; without one, fallbacks stand for values.
    """
    findings = lint(
        channel=template.channel,
        texts={name: getattr(template, name) for name in TEXTS},
        declared=[name for name in template.variables if name not in STANDARD_VARIABLES],
    )
    wanted = language or (user.preferred_language if user else Language.ENGLISH)
    told = wanted if template.tamil_content.strip() else Language.ENGLISH
    is_private = get_channel(template.channel).is_private
    values = (
        values_for(user=user, session=session, language=told, custom={}, is_private=is_private)
        if user
        else {}
    )
    rendered = render_version(
        version=template,
        channel=template.channel,
        language=told,
        values=values,
        user_id=NOBODY,
        address=user.email if user else "",
    )
    segments = count_segments(rendered.text) if template.channel == "sms" else None
    warnings = [*findings.warnings]
    margin = margin_of(template, segments, effective_settings())
    if margin.is_loss:
        warnings.append(f"It earns {margin.earned:.2f} and costs {margin.spent:.2f}: more than its price.")
    if segments and segments.count > 1:
        because = f", because of {segments.culprit!r}" if segments.culprit else ""
        warnings.append(f"As shown it takes {segments.count} SMS segments ({segments.encoding}){because}.")
    return Preview(told, rendered, segments, list(dict.fromkeys(warnings)))
