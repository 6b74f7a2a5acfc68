"""Group commit: what a process's threads ask of the database at about the same time is done as one batch.

A durable commit costs a disk's time however much is in it, and a statement for thirty rows little more than
one for a single row. Each thread still waits for its own answer, which comes after the commit it is in.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final, Generic, TypeVar

import structlog
from django.conf import settings

log = structlog.get_logger(__name__)

Question = TypeVar("Question")
Answer = TypeVar("Answer")

LARGEST_GROUP: Final = 64


class Alone:
    """The type of ``ALONE``."""

    def __repr__(self) -> str:
        return "ALONE"


ALONE: Final = Alone()  # an answer of a batch: nothing was done about this one, do it by itself


class _Asked(Generic[Question, Answer]):
    """A question and the thread that sleeps until it is answered, or until it's its turn to lead."""

    __slots__ = ("answer", "error", "is_answered", "question", "sleep")

    def __init__(self, question: Question) -> None:
        self.question = question
        self.answer: Answer | Alone = ALONE
        self.error: BaseException | None = None
        self.is_answered = False
        self.sleep = Lock()
        self.sleep.acquire()


class Group(Generic[Question, Answer]):
    """Threads that ask at about the same time are answered together: one leads, the others sleep.

    ``act`` gets one or more questions and returns as many answers in their order; ``ALONE`` for one it leaves
    untouched, which is then asked by itself, in its own thread. So is everyone in a batch that raises:
    whatever ``act`` does must be safe to ask for again.
    """

    def __init__(self, act: Callable[[Sequence[Question]], Sequence[Answer | Alone]]) -> None:
        self._act = act
        self._lock = Lock()
        self._waiting: deque[_Asked[Question, Answer]] = deque()
        self._is_led = False
        self._was_alone = True  # the batch before had one question: nobody is worth waiting for

    def ask(self, question: Question) -> Answer:
        """The answer to a question, after the commit it was part of."""
        if not settings.FOLLOWUP_GROUP_COMMIT:
            return self._by_itself(question)
        asked = _Asked[Question, Answer](question)
        with self._lock:
            self._waiting.append(asked)
            leads, self._is_led = not self._is_led, True
        if not leads:
            asked.sleep.acquire()  # until answered, or called to lead
        if not asked.is_answered:
            self._lead()
        if asked.error is not None:
            raise asked.error
        if isinstance(asked.answer, Alone):
            return self._by_itself(question)
        return asked.answer

    def _by_itself(self, question: Question) -> Answer:
        (answer,) = self._act([question])
        assert not isinstance(answer, Alone), "a question by itself must be answered"
        return answer

    def _lead(self) -> None:
        """Answer a batch (one's own question is the first of it), then let the next in line lead."""
        if not self._was_alone or len(self._waiting) > 1:
            time.sleep(settings.FOLLOWUP_GROUP_WINDOW_SECONDS)  # for others about to ask
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST_GROUP))]
        self._was_alone = len(batch) == 1
        try:
            answers = self._act([asked.question for asked in batch])
            for asked, answer in zip(batch, answers, strict=True):
                asked.answer = answer
        except BaseException as error:
            if len(batch) == 1:
                batch[0].error = error
            else:
                log.warning("group_failed", size=len(batch), error=type(error).__name__)
        finally:
            for asked in batch:
                asked.is_answered = True
            with self._lock:
                heir = self._waiting[0] if self._waiting else None
                self._is_led = heir is not None
            if heir is not None:
                heir.sleep.release()
            for asked in batch[1:]:
                asked.sleep.release()
