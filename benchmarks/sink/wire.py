"""One thread, one epoll, any number of connections; an answer may wait without holding up another."""

import heapq
import itertools
import select
import socket
import time
from collections.abc import Callable
from typing import Protocol

Answers = list[tuple[bytes, float]]  # each with the seconds it waits


class Talk(Protocol):
    """One connection's conversation."""

    greeting: bytes

    def hear(self, data: bytes) -> Answers:
        """What these bytes are answered with; ``b""`` hangs up."""


class Wire:
    """Serves conversations on ports of this machine."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._doors: dict[int, tuple[socket.socket, Callable[[], Talk]]] = {}
        self._guests: dict[int, tuple[socket.socket, Talk]] = {}
        self._waiting: list[tuple[float, int, int, socket.socket, bytes]] = []
        self._numbers = itertools.count()

    def open(self, make: Callable[[], Talk]) -> int:
        """Serve what ``make`` makes on a free port, which is returned."""
        door = socket.create_server(("127.0.0.1", 0), backlog=1024)
        door.setblocking(False)
        self._doors[door.fileno()] = door, make
        self._epoll.register(door.fileno(), select.EPOLLIN)
        return int(door.getsockname()[1])

    def serve(self) -> None:
        """For ever."""
        while True:
            timeout = max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else -1
            for number, _ in self._epoll.poll(timeout):
                if number in self._doors:
                    self._welcome(number)
                elif number in self._guests:
                    self._hear(number)
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                _, _, number, guest, answer = heapq.heappop(self._waiting)
                if number in self._guests and self._guests[number][0] is guest:
                    self._say(number, guest, answer)

    def _welcome(self, door: int) -> None:
        listener, make = self._doors[door]
        try:
            guest, _ = listener.accept()
        except BlockingIOError:
            return
        guest.setblocking(False)
        guest.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talk = make()
        self._guests[guest.fileno()] = guest, talk
        self._epoll.register(guest.fileno(), select.EPOLLIN)
        if talk.greeting:
            self._say(guest.fileno(), guest, talk.greeting)

    def _hear(self, number: int) -> None:
        guest, talk = self._guests[number]
        try:
            data = guest.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._part(number)
            return
        for answer, seconds in talk.hear(data):
            if seconds:
                due = time.monotonic() + seconds
                heapq.heappush(self._waiting, (due, next(self._numbers), number, guest, answer))
            else:
                self._say(number, guest, answer)

    def _say(self, number: int, guest: socket.socket, answer: bytes) -> None:
        try:
            if answer and guest.send(answer) == len(answer):
                return
        except OSError:
            pass
        self._part(number)

    def _part(self, number: int) -> None:
        guest, _ = self._guests.pop(number, (None, None))
        if guest is not None:
            self._epoll.unregister(number)
            guest.close()
