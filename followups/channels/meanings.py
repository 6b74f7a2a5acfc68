"""Looking up what a provider's error means: an edited row first, then what is shipped, then caution.

Asked only when something went wrong, so each look is a query and no process keeps an old answer.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Final

import structlog
from django.db import DatabaseError
from django.db.models import F
from django.utils.timezone import now

from followups.channels.verdicts import SHIPPED, ErrorKey, Rule
from followups.choices import ErrorPhase, ErrorWord, RuleOrigin, SuppressionReason
from followups.models import ErrorRule

log = structlog.get_logger(__name__)

_STORABLE: Final = re.compile(r"[A-Za-z0-9 ._/:-]{1,50}")  # a code, and nothing that could be an address


def meaning(phase: ErrorPhase, keys: Sequence[ErrorKey], otherwise: Sequence[ErrorKey] = ()) -> Rule:
    """The rule for an error, which is called by ``keys``, the most specific first.

    Where no rule names one of them, the error is unknown: it is kept for an admin to classify and alarmed,
    and ``otherwise`` (the HTTP status, say) decides; without that it's a refusal or a failure for good.
    """
    names = [*keys, *otherwise]
    found = next(_rules(phase, names, _edited(phase, names)), None)
    rule = found or _guess(phase, *names[0])
    if found is None or (keys and (found.provider, found.code) not in keys):
        _remember(names[0], rule)
    if rule.alarms:
        log.error("error_rule_alarms", provider=rule.provider, phase=phase, code=rule.code)
    return rule


def known_rule(phase: ErrorPhase, keys: Sequence[ErrorKey]) -> Rule | None:
    """The rule that names one of the keys, if there is one; nothing is remembered or alarmed."""
    return next(_rules(phase, keys, _edited(phase, keys)), None)


def rule_of(row: ErrorRule) -> Rule:
    """A row as a rule."""
    values = {field.name: getattr(row, field.name) for field in fields(Rule)}
    suppress = SuppressionReason(row.suppress) if row.suppress else None
    return Rule(
        **{**values, "phase": ErrorPhase(row.phase), "word": ErrorWord(row.word), "suppress": suppress}
    )


def _guess(phase: ErrorPhase, provider: str, code: str) -> Rule:
    is_call = phase == ErrorPhase.CALL
    sentence = "The provider refused the message." if is_call else "The provider could not deliver it."
    return Rule(provider, phase, code, ErrorWord.REJECTED, sentence)


def _rules(phase: ErrorPhase, keys: Sequence[ErrorKey], edited: Mapping[ErrorKey, Rule]) -> Iterator[Rule]:
    for key in keys:
        rule = edited.get(key) or SHIPPED.get((phase, *key))
        if rule is not None:
            yield rule


def _edited(phase: ErrorPhase, keys: Sequence[ErrorKey]) -> Mapping[ErrorKey, Rule]:
    providers, codes = {provider for provider, _ in keys}, {code for _, code in keys}
    rows = ErrorRule.objects.filter(
        phase=phase, origin=RuleOrigin.EDITED, provider__in=providers, code__in=codes
    )
    try:
        return {(row.provider, row.code): rule_of(row) for row in rows}
    except DatabaseError as error:  # what is shipped is better than no answer
        log.warning("error_rules_unreadable", error=type(error).__name__)
        return {}


def _remember(key: ErrorKey, rule: Rule) -> None:
    """Keep an unknown code with how it was taken, and count it."""
    provider, code = key
    code = code if _STORABLE.fullmatch(code) else "unreadable"
    log.error("error_code_unknown", provider=provider, phase=rule.phase, code=code, taken_as=rule.word)
    moment = now()
    taken_as = {name: getattr(rule, name) for name in ("word", "sentence", "retry_after", "most_retries")}
    try:
        row, is_new = ErrorRule.objects.get_or_create(
            provider=provider,
            phase=rule.phase,
            code=code,
            defaults={
                **taken_as,
                "suppress": rule.suppress or "",
                "counts_try": rule.counts_try,
                "origin": RuleOrigin.SEEN,
                "seen_count": 1,
                "first_seen_at": moment,
                "last_seen_at": moment,
            },
        )
        if not is_new:
            ErrorRule.objects.filter(pk=row.pk).update(seen_count=F("seen_count") + 1, last_seen_at=moment)
    except DatabaseError as error:
        log.warning("error_code_not_kept", error=type(error).__name__)
