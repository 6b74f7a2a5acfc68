"""A plain SMTP server that may break off before or after the final dot."""

import asyncio
from email import message_from_bytes
from email.policy import default as email_policy

from tests.faults.simulator.log import Log, reference_in
from tests.faults.simulator.script import HANG_SECONDS, Fate, Fault

# Where in the conversation a fault shows: at the recipient, or once the mail is there.
AT_RECIPIENT = {Fault.BUSY: "451 4.3.2 Try again later", Fault.REFUSE: "554 5.7.1 Refused"}


class Smtp:
    """Takes mail for anybody."""

    name = "smtp"

    def __init__(self, fate: Fate, log: Log) -> None:
        self.fate = fate
        self._log = log
        self._mails = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, any number of mails."""
        await _say(writer, "220 simulator ESMTP")
        fault = Fault.NONE
        while line := await reader.readline():
            command = line.decode("latin-1").strip().upper()
            if command.startswith("EHLO"):
                await _say(writer, "250-simulator", "250-8BITMIME", "250 SIZE 10485760")
            elif command.startswith("MAIL"):
                fault = self.fate.draw()
                await _say(writer, "250 2.1.0 Ok")
            elif command.startswith("RCPT") and fault in AT_RECIPIENT:
                await _say(writer, AT_RECIPIENT[fault])
            elif command == "DATA":
                if fault == Fault.HANG_UP:  # later, and the client could not tell it from after the dot
                    return
                await _say(writer, "354 End with a dot")
                content = await reader.readuntil(b"\r\n.\r\n")
                if not await self._end(fault, content, writer):
                    return
            elif command == "QUIT":
                await _say(writer, "221 2.0.0 Bye")
                return
            else:
                await _say(writer, "250 2.0.0 Ok")

    async def _end(self, fault: Fault, content: bytes, writer: asyncio.StreamWriter) -> bool:
        """What follows the dot; ``False`` ends the connection."""
        if fault == Fault.FAIL:
            await _say(writer, "451 4.3.0 Local error")
            return True
        if fault == Fault.LATE:
            self.fate.later(lambda: self._take(content, fault))
        elif fault != Fault.BLACK_HOLE:
            self._take(content, fault)
        if fault in (Fault.HANG_UP_DONE, Fault.FAIL_DONE):
            return False
        if fault in (Fault.LATE, Fault.BLACK_HOLE, Fault.SILENT_DONE):
            await asyncio.sleep(HANG_SECONDS)
            return False
        if fault == Fault.SLOW:
            await asyncio.sleep(self.fate.between(self.fate.script.slow_seconds))
        await _say(writer, "250 2.0.0 Queued")
        return True

    def _take(self, content: bytes, fault: str) -> None:
        self._mails += 1
        mail = message_from_bytes(content, policy=email_policy)
        body = mail.get_body(("plain",))
        message_id = str(mail["Message-ID"]).strip("<> \t\r\n")
        self._log.write(
            "accepted",
            self.name,
            id=f"{self._mails}",
            channel="email",
            follow_up=message_id.partition("@")[0],
            ref=reference_in(body.get_content() if body else ""),
            fault=fault,
        )


async def _say(writer: asyncio.StreamWriter, *lines: str) -> None:
    writer.write("".join(f"{line}\r\n" for line in lines).encode())
    await writer.drain()
