"""A TCP proxy to put before PostgreSQL, Redis or a provider: a network that misbehaves on order.

    with running_proxy(to=6379) as proxy:
        proxy.mode = Mode.BLACK_HOLE

A mode takes hold at once, of connections that are open, too.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from enum import StrEnum

PIECE = 64 * 1024  # bytes
STEP_SECONDS = 0.05  # between two looks at the mode while nothing may pass


class Mode(StrEnum):
    """What becomes of what is sent through."""

    PASS = "pass"
    BLACK_HOLE = "black_hole"  # connections are taken, and nothing ever passes or comes back
    DROP = "drop"  # every connection is reset, new ones too
    DELAY = "delay"  # each piece is late by ``delay_seconds``
    CUT = "cut"  # reset after ``cut_after`` more bytes from the client; then it passes again


class Proxy:
    """One port of ours before one of theirs; change its attributes from any thread."""

    def __init__(self, *, to: int) -> None:
        self.to = to
        self.port = 0
        self.mode = Mode.PASS
        self.delay_seconds = 0.0
        self.cut_after = 0
        self.connections = 0  # taken so far
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until either side is done or the mode ends it."""
        self.connections += 1
        far: asyncio.StreamWriter | None = None
        self._open.add(writer)
        try:
            await self._while_black()
            if self.mode == Mode.DROP:
                return
            far_reader, far = await asyncio.open_connection("127.0.0.1", self.to)
            self._open.add(far)
            there = asyncio.create_task(self._carry(reader, far, is_client=True))
            back = asyncio.create_task(self._carry(far_reader, writer, is_client=False))
            ends = asyncio.create_task(self._until_dropped())
            tasks = {there, back, ends}
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        except OSError:
            pass
        finally:
            for end in filter(None, (writer, far)):
                self._open.discard(end)
                end.transport.abort()

    async def _carry(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, *, is_client: bool
    ) -> None:
        while piece := await source.read(PIECE):
            await self._while_black()
            if self.mode == Mode.DELAY:
                await asyncio.sleep(self.delay_seconds)
            if self.mode == Mode.CUT and is_client:
                piece, self.cut_after = piece[: self.cut_after], self.cut_after - len(piece)
                if self.cut_after < 0:
                    self.mode = Mode.PASS
                    to.write(piece)
                    await to.drain()
                    return
            to.write(piece)
            await to.drain()

    async def _while_black(self) -> None:
        while self.mode == Mode.BLACK_HOLE:
            await asyncio.sleep(STEP_SECONDS)

    async def _until_dropped(self) -> None:
        while self.mode != Mode.DROP:
            await asyncio.sleep(STEP_SECONDS)


@contextlib.contextmanager
def running_proxy(*, to: int) -> Iterator[Proxy]:
    """A proxy to a port of this machine, in a thread of its own until the block ends."""
    proxy = Proxy(to=to)
    loop = asyncio.new_event_loop()
    is_open = threading.Event()
    end = asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, backlog=512)
        proxy.port = server.sockets[0].getsockname()[1]
        is_open.set()
        await end.wait()
        server.close()
        guests = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in guests:
            task.cancel()
        await asyncio.gather(*guests, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    try:
        if not is_open.wait(60):
            raise RuntimeError("The proxy did not start.")
        yield proxy
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(60)
        loop.close()
