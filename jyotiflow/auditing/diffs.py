"""Two texts beside each other: which words went and which came. Pure, in Python's own way."""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

# A word with the space after it. `\\S` keeps a Tamil letter and its signs together.
_WORDS = re.compile(r"\s*\S+\s*?|\s+")
MOST_WORDS = 4_000  # of both texts; longer ones are shown as wholly different, as comparing is quadratic


@dataclass(frozen=True)
class Piece:
    """A stretch of text; ``is_new`` (or gone, on the other side) where it differs."""

    text: str
    differs: bool


def compare(before: str, after: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts cut into pieces; joined again, each side gives its text."""
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if len(old) + len(new) > MOST_WORDS:
        return _whole(before), _whole(after)
    left: list[Piece] = []
    right: list[Piece] = []
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        for side, words in ((left, old[i:j]), (right, new[k:m])):
            if words:
                side.append(Piece("".join(words), tag != "equal"))
    return left, right


def _whole(text: str) -> list[Piece]:
    return [Piece(text, True)] if text else []
