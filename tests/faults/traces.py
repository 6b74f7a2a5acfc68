"""Where a person may have left traces, and whether they did: database, Redis, logs of all processes."""

import base64
import json
import subprocess
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import redis

from jyotiflow.local.binaries import SERVER_ENV, find_postgres


def database_text(url: str) -> str:
    """Every row of every table, as pg_dump writes them, and what Django's sessions hold once more, opened."""
    dump = [str(find_postgres() / "pg_dump"), "--data-only", f"--dbname={url}"]
    done = subprocess.run(dump, capture_output=True, env=SERVER_ENV, check=True)
    text = done.stdout.decode()
    return text + "\n".join(_opened(line.split("\t")[1]) for line in _rows(text, "django_session"))


def tables_with(dump: str, words: Mapping[str, str]) -> list[str]:
    """The tables whose rows hold any of the words, and the hits in each."""
    tables = dump.split("\nCOPY public.")[1:]
    found = {rows.partition(" ")[0]: hits(rows.partition("\n\\.")[0], words) for rows in tables}
    return [f"{table}: {counts}" for table, counts in found.items() if counts]


def redis_text(url: str) -> str:
    """Every key of every database with its value, task payloads opened."""
    pieces: list[str] = []
    with redis.Redis.from_url(url) as client:
        count = int(client.config_get("databases")["databases"])
    for number in range(count):
        with redis.Redis.from_url(url, db=number) as client:
            for key in client.scan_iter():
                pieces.append(key.decode("utf-8", "replace"))
                pieces += [value.decode("utf-8", "replace") for value in _values(client, key)]
    return "\n".join(piece + _payload(piece) for piece in pieces)


def log_text(home: Path) -> str:
    """What every process below ``home`` said, the servers included, the providers' stand-ins not."""
    logs = [path for path in home.rglob("*.log") if "simulator" not in path.parts]
    assert logs
    return "\n".join(path.read_text(errors="replace") for path in logs)


def hits(text: str, words: Mapping[str, str]) -> dict[str, int]:
    """How often each word is in a text, however it's written there; words without hits are left out."""
    folded = text.casefold()
    counts = {
        name: sum(folded.count(form.casefold()) for form in _forms(word)) for name, word in words.items()
    }
    return {name: count for name, count in counts.items() if count}


def _forms(word: str) -> set[str]:
    escaped = json.dumps(word)[1:-1]
    return {word, escaped, escaped.replace("\\", "\\\\"), quote(word), quote_plus(word)}


def _rows(dump: str, table: str) -> Iterable[str]:
    _, found, rest = dump.partition(f"\nCOPY public.{table} ")
    return rest.partition("\n\\.")[0].splitlines()[1:] if found else []


def _opened(session: str) -> str:
    """A session's data: base64, perhaps compressed, then signed."""
    data = session.rpartition(":")[0].rpartition(":")[0]
    raw = base64.urlsafe_b64decode(data.lstrip(".") + "=" * (-len(data.lstrip(".")) % 4))
    return (zlib.decompress(raw) if data.startswith(".") else raw).decode()


def _values(client: Any, key: bytes) -> list[bytes]:
    match client.type(key):
        case b"string":
            return [client.get(key) or b""]
        case b"list":
            return list(client.lrange(key, 0, -1))
        case b"set":
            return list(client.smembers(key))
        case b"zset":
            return [member for member, _ in client.zscan_iter(key)]
        case b"hash":
            return [part for pair in client.hgetall(key).items() for part in pair]
        case b"none":  # taken by a worker meanwhile
            return []
    raise AssertionError("a kind of value that nobody reads here")


def _payload(text: str) -> str:
    """The body of a task, which Celery packs as base64."""
    try:
        return base64.b64decode(json.loads(text)["body"]).decode()
    except (ValueError, KeyError, TypeError):
        return ""
