"""What changed between two texts: line by line, and word by word within a line. Pure functions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Final, TypeVar

import regex

_WORD: Final = regex.compile(r"\{\{.*?\}\}|[\w\p{M}]+|\s+|\X")

Piece = TypeVar("Piece")


class Change(StrEnum):
    """What became of a piece of text."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True)
class Part:
    """A piece of a line."""

    change: Change
    text: str


@dataclass(frozen=True)
class Line:
    """A line as its parts, old and new ones in reading order; ``is_changed`` where any isn't the same."""

    parts: Sequence[Part]

    @property
    def is_changed(self) -> bool:
        return any(part.change != Change.SAME for part in self.parts)


def differences(old: str, new: str) -> list[Line]:
    """The lines of both texts, in order: same and removed parts are the old text, same and added the new.

    A line that became another is one line with the words that went and came.
    """
    lines: list[Line] = []
    for before, after in _blocks(old.split("\n"), new.split("\n")):
        if before == after:
            lines += [Line([Part(Change.SAME, text)]) for text in before]
            continue
        paired = min(len(before), len(after))
        lines += [Line(_words(*pair)) for pair in zip(before, after, strict=False)]
        lines += [Line([Part(Change.REMOVED, text)]) for text in before[paired:]]
        lines += [Line([Part(Change.ADDED, text)]) for text in after[paired:]]
    return lines


def _words(old: str, new: str) -> list[Part]:
    parts = []
    for before, after in _blocks(_WORD.findall(old), _WORD.findall(new)):
        if before == after:
            parts.append(Part(Change.SAME, "".join(before)))
            continue
        for change, words in ((Change.REMOVED, before), (Change.ADDED, after)):
            if words:
                parts.append(Part(change, "".join(words)))
    return parts


def _blocks(old: Sequence[Piece], new: Sequence[Piece]) -> Iterator[tuple[Sequence[Piece], Sequence[Piece]]]:
    """Stretches of both, each either the same in both or different."""
    for _tag, start, end, new_start, new_end in SequenceMatcher(None, old, new).get_opcodes():
        yield old[start:end], new[new_start:new_end]
