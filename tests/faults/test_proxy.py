"""The misbehaving network: each mode does what it says, to open connections and to new ones."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.faults.proxy import Mode, Proxy, running_proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that says back what it hears; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk(guest: socket.socket) -> None:
            with guest, contextlib.suppress(OSError):
                while piece := guest.recv(1024):
                    guest.sendall(piece)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    guest, _ = server.accept()
                    threading.Thread(target=talk, args=(guest,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with running_proxy(to=echo) as running:
        yield running


def guest_of(proxy: Proxy, *, patience: float = 30) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=patience)


def hears(guest: socket.socket, words: bytes = b"hello") -> bytes:
    guest.sendall(words)
    return guest.recv(1024)


def test_what_may_pass_passes(proxy: Proxy) -> None:
    with guest_of(proxy) as guest:
        assert hears(guest) == b"hello"
        assert hears(guest, b"again") == b"again"
    assert proxy.connections == 1


def test_a_black_hole_takes_everything_and_gives_nothing_until_it_ends(proxy: Proxy) -> None:
    with guest_of(proxy) as old, guest_of(proxy) as new:
        assert hears(old) == b"hello"
        proxy.mode = Mode.BLACK_HOLE
        for guest in (old, new):
            guest.settimeout(0.3)
            with pytest.raises(TimeoutError):
                hears(guest, b"lost?")
        proxy.mode = Mode.PASS
        old.settimeout(30)
        assert old.recv(1024) == b"lost?"


def test_a_drop_resets_open_connections_and_new_ones(proxy: Proxy) -> None:
    with guest_of(proxy) as old:
        assert hears(old) == b"hello"
        proxy.mode = Mode.DROP
        assert is_broken(old)
    with guest_of(proxy) as new:
        assert is_broken(new)
    proxy.mode = Mode.PASS
    with guest_of(proxy) as newer:
        assert hears(newer) == b"hello"


def is_broken(guest: socket.socket) -> bool:
    try:
        return guest.recv(1024) == b""
    except ConnectionError:
        return True


def test_a_delay_is_at_least_as_long_as_it_says(proxy: Proxy) -> None:
    proxy.mode, proxy.delay_seconds = Mode.DELAY, 0.2
    with guest_of(proxy) as guest:
        began = time.monotonic()
        assert hears(guest) == b"hello"
        assert time.monotonic() - began >= 0.4  # there and back


def test_a_cut_lets_just_so_many_bytes_through_and_then_all(proxy: Proxy) -> None:
    proxy.cut_after, proxy.mode = 7, Mode.CUT
    with guest_of(proxy) as guest:
        assert hears(guest) == b"hello"
        guest.sendall(b"again")
        assert is_broken(guest)
    with guest_of(proxy) as next_one:
        assert hears(next_one, b"and all of this") == b"and all of this"
