"""Firebase Cloud Messaging's shape: the token endpoint, and v1 `messages:send`.

https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send
"""

import itertools
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.faults.simulator.log import Log, reference_in
from tests.faults.simulator.script import Fate, Fault
from tests.faults.simulator.wire import Answer, Request

PROJECT = "jyotiflow-simulated"


class Fcm:
    """One project. A device shows one notification a tag, however often it is sent."""

    name = "fcm"

    def __init__(self, fate: Fate, log: Log) -> None:
        self.fate = fate
        self._log = log
        self._numbers = itertools.count(1)
        self._shown: set[tuple[str, str]] = set()

    async def handle(self, request: Request) -> Answer | None:
        """A token, or a push."""
        if request.path == "/token":
            return Answer(200, {"access_token": "token", "expires_in": 3600, "token_type": "Bearer"})
        if request.path != f"/v1/projects/{PROJECT}/messages:send":
            return _error(404, "NOT_FOUND")
        message = request.json["message"]
        fault = self.fate.draw()
        if fault == Fault.REFUSE and _shown_as(message) in self._shown:
            fault = Fault.NONE  # what was right once is right again
        return await self.fate.answer(
            fault,
            take=lambda: self._take(message, fault),
            refusal=_error(400, "INVALID_ARGUMENT"),
            busy=_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", {"Retry-After": "1"}),
            failure=_error(500, "INTERNAL"),
        )

    def _take(self, message: dict[str, Any], fault: str) -> Answer:
        name = f"projects/{PROJECT}/messages/{next(self._numbers)}"
        shown = _shown_as(message)
        self._log.write(
            "shown_again" if shown in self._shown else "accepted",
            self.name,
            id=name,
            channel="push",
            follow_up=message["data"]["follow_up_id"],
            tag=shown[0],
            ref=reference_in(message["notification"]["body"]),
            fault=fault,
        )
        self._shown.add(shown)
        return Answer(200, {"name": name})


def _shown_as(message: dict[str, Any]) -> tuple[str, str]:
    """What a device tells notifications apart by, and the device."""
    return message["android"]["notification"]["tag"], message["token"]


def write_key(path: Path, *, token_uri: str) -> None:
    """A service account key whose tokens come from ``token_uri``."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private_key = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": private_key.decode(),
        "client_email": f"push@{PROJECT}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }
    path.write_text(json.dumps(account))


def _error(status: int, word: str, fcm_word: str = "", headers: dict[str, str] | None = None) -> Answer:
    error: dict[str, object] = {"code": status, "message": word, "status": word}
    if fcm_word:
        kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
        error["details"] = [{"@type": kind, "errorCode": fcm_word}]
    return Answer(status, {"error": error}, headers or {})
