"""The vocabulary of the error rules: what a provider's code means, and the exception it becomes."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from followups.choices import ErrorPhase, ErrorWord, SuppressionReason
from followups.exceptions import Misconfigured, NotProcessed, OutcomeUnknown, Rejected

Word: TypeAlias = NotProcessed | Rejected | Misconfigured | OutcomeUnknown
FOUR_WORDS = (NotProcessed, Rejected, Misconfigured, OutcomeUnknown)
ErrorKey: TypeAlias = tuple[str, str]  # provider, code
SHIPPED_RULES: Final = Path(__file__).parents[1] / "starters" / "error_rules.csv"


@dataclass(frozen=True)
class Rule:
    """The meaning of one code. Fields are those of ``ErrorRule``; ``retry_after`` in seconds."""

    provider: str
    phase: ErrorPhase
    code: str
    word: ErrorWord
    sentence: str = ""
    suppress: SuppressionReason | None = None
    retry_after: int | None = None
    most_retries: int = 0
    counts_try: bool = True
    alarms: bool = False
    note: str = ""
    docs_url: str = ""


def exception_of(rule: Rule, name: str = "") -> Word:
    """The word to raise for an answer to a call; ``name`` is how the answer called itself."""
    code = name or rule.code
    match rule.word:
        case ErrorWord.LATER:
            return NotProcessed(code, rule.retry_after, rule.counts_try)
        case ErrorWord.REJECTED:
            return Rejected(code, rule.sentence, rule.suppress)
        case ErrorWord.MISCONFIGURED:
            return Misconfigured(code, rule.sentence)
    return OutcomeUnknown(code)


def _read(row: Mapping[str, str]) -> Rule:
    return Rule(
        provider=row["provider"],
        phase=ErrorPhase(row["phase"]),
        code=row["code"],
        word=ErrorWord(row["word"]),
        sentence=row["sentence"],
        suppress=SuppressionReason(row["suppress"]) if row["suppress"] else None,
        retry_after=int(row["retry_after"]) if row["retry_after"] else None,
        most_retries=int(row["most_retries"] or 0),
        counts_try=row["counts_try"] != "no",
        alarms=row["alarms"] == "yes",
        note=row["note"],
        docs_url=row["docs_url"],
    )


def _shipped() -> dict[tuple[ErrorPhase, str, str], Rule]:
    with SHIPPED_RULES.open(encoding="utf-8", newline="") as file:
        rules = [_read(row) for row in csv.DictReader(file)]
    return {(rule.phase, rule.provider, rule.code): rule for rule in rules}


SHIPPED: Final[Mapping[tuple[ErrorPhase, str, str], Rule]] = _shipped()
