"""What became of every message, in Jepsen's words: the providers' log held against the database's rows.

Reads nothing and knows no Django: it judges facts it is given, and so can be tested with planted ones.
https://jepsen-io.github.io/jepsen/jepsen.checker.html#var-total-queue
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

SENT = frozenset({"sent", "delivered", "read"})
WITHDRAWN = frozenset({"failed", "cancelled"})
WORDS = ("ok", "recovered", "refunded", "lost", "unexpected", "duplicated", "in doubt", "unfinished")
MOST_NAMED = 5  # messages in one problem's line


@dataclass(frozen=True)
class Booked:
    """A follow-up as the database has it in the end, with its movements in the ledger."""

    id: str
    channel: str
    state: str
    ref: str
    price: int = 0
    charges: tuple[int, ...] = (0,)  # amounts as the ledger has them: charges are negative
    refunds: tuple[int, ...] = ()
    attempts: tuple[str, ...] = ()
    unknown: int = 0  # of the attempts: given up without an answer
    was_disturbed: bool = False  # in doubt, killed or repeated on its way
    is_repeat: bool = False  # booked anew for one that was refunded: it has the other's mark


@dataclass(frozen=True)
class Taken:
    """One message a provider accepted. ``follow_up`` or ``attempt`` says whose it is."""

    provider: str
    id: str
    channel: str
    ref: str
    follow_up: str = ""
    attempt: str = ""
    is_undelivered: bool = False  # it said so afterwards: it never arrived
    is_untold: bool = False  # the client could not know that it was taken


@dataclass(frozen=True)
class Facts:
    """All there is to judge."""

    booked: Sequence[Booked]
    taken: Sequence[Taken]
    acknowledged: Mapping[str, str] = field(default_factory=dict)  # by mark: the id a client was told
    asked: Collection[str] = ()  # marks of bookings that were asked for, told or not
    ledger_faults: Sequence[str] = ()
    # Channels that can't ask anybody. A delivery too many is allowed for each attempt that had no answer, in
    # all as many as were untold, and those whose sender may have been killed before it heard the answer.
    at_least_once: Collection[str] = ()
    ambiguities: int = 0


@dataclass
class Judgement:
    """The table by channel, and everything that must not be."""

    rows: list[dict[str, object]]
    problems: list[str]
    ledger: list[str]  # those of the problems that are about money
    repeats: int = 0  # deliveries too many that were allowed
    ambiguous: int = 0  # and how many may be, see ``Facts``


def judge(facts: Facts) -> Judgement:
    """Hold what was taken against what was booked."""
    owner = {attempt: booked.id for booked in facts.booked for attempt in booked.attempts}
    known = {booked.id: booked for booked in facts.booked}
    taken: defaultdict[str, list[Taken]] = defaultdict(list)
    strangers: list[Taken] = []
    for one in facts.taken:
        follow_up = one.follow_up or owner.get(one.attempt, "")
        is_own = follow_up in known and known[follow_up].ref == one.ref
        taken[follow_up].append(one) if is_own else strangers.append(one)

    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    named: defaultdict[str, list[str]] = defaultdict(list)
    repeats = 0
    allowed = facts.ambiguities + sum(
        one.is_untold for one in facts.taken if one.channel in facts.at_least_once
    )
    for booked in facts.booked:
        word = _word(booked, taken[booked.id])
        if booked.channel in facts.at_least_once and word in ("duplicated", "unexpected"):
            extra = len(taken[booked.id]) - (word == "duplicated")
            if extra <= booked.unknown and repeats + extra <= allowed:
                repeats += extra
                word = "ok" if booked.state in SENT else "refunded"
        counts[booked.channel]["messages"] += 1
        counts[booked.channel][word] += 1
        if word == "ok" and booked.was_disturbed:
            counts[booked.channel]["recovered"] += 1
        if word not in ("ok", "refunded"):
            named[word].append(f"{booked.id} ({booked.channel}, {booked.state})")
    for stranger in strangers:
        counts[stranger.channel]["unexpected"] += 1
        named["unexpected"].append(f"{stranger.provider} {stranger.id}, which nobody booked in these words")

    problems = [f"{len(ids)} {word}: {_some(ids)}" for word, ids in named.items()]
    problems += _bookings(facts)
    ledger = [fault for booked in facts.booked for fault in _money(booked)] + list(facts.ledger_faults)
    problems += ledger
    rows = [
        {"channel": channel, "messages": counts[channel]["messages"]}
        | {word: counts[channel][word] for word in WORDS}
        for channel in sorted(counts)
    ]
    if rows:
        total = sum(counts.values(), Counter())
        rows.append({"channel": "all", "messages": total["messages"]} | {word: total[word] for word in WORDS})
    return Judgement(rows, problems, ledger, repeats, allowed)


def _word(booked: Booked, taken: Sequence[Taken]) -> str:
    arrived = [one for one in taken if not one.is_undelivered]
    if booked.state in SENT:
        if not taken:
            return "lost"
        return "duplicated" if len(arrived) > 1 else "ok"
    if booked.state in WITHDRAWN:
        return "unexpected" if arrived else "refunded"
    return "in doubt" if booked.state == "in_doubt" else "unfinished"


def _bookings(facts: Facts) -> list[str]:
    """A booking a client was told of is there, and none is there twice."""
    there: defaultdict[str, list[str]] = defaultdict(list)
    for booked in facts.booked:
        if not booked.is_repeat:
            there[booked.ref].append(booked.id)
    faults = [f"{ref} was booked {len(ids)} times" for ref, ids in there.items() if len(ids) > 1]
    faults += [
        f"{ref} was confirmed as {told}, which is not there"
        for ref, told in facts.acknowledged.items()
        if told not in there[ref]
    ]
    unasked = sorted(ref for ref, ids in there.items() if ids and ref not in facts.asked)
    if unasked:
        faults.append(f"booked though nobody asked: {_some(unasked)}")
    return faults


def _money(booked: Booked) -> list[str]:
    """Charged exactly once, refunded at most once and only when withdrawn."""
    faults = []
    if booked.charges != (-booked.price,):
        faults.append(f"{booked.id} costs {booked.price} and was charged {booked.charges}")
    due = (booked.price,) if booked.state in WITHDRAWN and booked.price else ()
    if booked.refunds != due:
        faults.append(f"{booked.id} is {booked.state}, cost {booked.price} and was refunded {booked.refunds}")
    return faults


def _some(texts: Sequence[str]) -> str:
    more = len(texts) - MOST_NAMED
    return ", ".join(texts[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
