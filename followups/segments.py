"""How many SMS segments a text takes, and which character made it expensive."""

import unicodedata
from dataclasses import dataclass
from typing import Final

import regex

# 3GPP TS 23.038: the basic alphabet, and the extension whose characters take two units.
GSM_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENDED: Final = frozenset("\f^{}\\[~]|€")
_GSM: Final = GSM_BASIC | GSM_EXTENDED
SINGLE_AND_JOINED: Final = {"GSM-7": (160, 153), "UCS-2": (70, 67)}  # units in one segment, in one of several

_CLUSTER = regex.compile(r"\X")


@dataclass(frozen=True)
class Segments:
    """The cost of an SMS. ``culprit`` is the first character outside GSM-7, empty when there is none."""

    encoding: str
    units: int
    count: int
    culprit: str = ""


def count_segments(text: str) -> Segments:
    """Count the segments of a text; a grapheme is never split over two of them."""
    culprit = next((character for character in text if character not in _GSM), "")
    if culprit:
        encoding = "UCS-2"
        sizes = [len(cluster.encode("utf-16-le")) // 2 for cluster in _CLUSTER.findall(text)]
    else:
        encoding = "GSM-7"
        sizes = [2 if character in GSM_EXTENDED else 1 for character in text]
    single, joined = SINGLE_AND_JOINED[encoding]
    units = sum(sizes)
    if units <= single:
        return Segments(encoding, units, 1 if units else 0, culprit)
    count, room = 1, joined
    for size in sizes:
        if size > room:
            pieces = -(-size // joined)  # several only where one cluster is longer than a segment
            count += pieces - (room == joined)  # a segment with nothing in it yet is the first piece's
            room = joined * pieces
        room -= size
    return Segments(encoding, units, count, culprit)


@dataclass(frozen=True)
class Culprit:
    """The first character outside GSM-7: ``line`` and ``place`` count from 1, a place is a grapheme.

    ``others`` are graphemes after it that are outside, too, each once; ``count_without`` the segments if
    there were none of them.
    """

    character: str
    name: str
    line: int
    place: int
    others: tuple[str, ...]
    count_without: int


def find_culprit(text: str) -> Culprit | None:
    """The character that makes an SMS expensive, and where it is; ``None`` when all of it is GSM-7."""
    at = next((at for at, character in enumerate(text) if character not in _GSM), None)
    if at is None:
        return None
    start = text.rfind("\n", 0, at) + 1
    letters = _CLUSTER.finditer(text[start:].partition("\n")[0])
    return Culprit(
        character=text[at],
        name=unicodedata.name(text[at], "").lower(),
        line=text.count("\n", 0, at) + 1,
        place=sum(letter.start() <= at - start for letter in letters),
        others=tuple(_outside(text[at + 1 :])),
        count_without=count_segments("".join(each for each in text if each in _GSM)).count,
    )


def _outside(text: str) -> list[str]:
    found = dict.fromkeys(letter for letter in _CLUSTER.findall(text) if not _GSM.issuperset(letter))
    return list(found)
