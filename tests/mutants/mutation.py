"""What a planted bug is."""

from dataclasses import dataclass
from pathlib import Path


class NotThere(Exception):
    """A mutation's old text isn't in its file exactly once: the code has moved on."""


@dataclass(frozen=True)
class Mutation:
    """One change of one file, named after the bug it is, with the tests that must fail because of it."""

    name: str
    file: str
    old: str
    new: str
    caught_by: tuple[str, ...]

    @property
    def is_of_schema(self) -> bool:
        """Whether the database has to be made anew for it."""
        return "/migrations/" in self.file

    def applied(self, root: Path) -> str:
        """The file's text with the bug in it. Raises ``NotThere``."""
        text = (root / self.file).read_text()
        if (times := text.count(self.old)) != 1:
            raise NotThere(f"{self.name}: found {times} times in {self.file}:\n{self.old}")
        return text.replace(self.old, self.new)
