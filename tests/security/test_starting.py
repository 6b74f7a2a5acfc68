"""Web, worker and beat really started: half configured none of them serves; well configured the web does."""

import contextlib
import http.client
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_SECONDS = 120
CELERY = [sys.executable, "-m", "celery", "-A", "celery_app"]
WEB = [sys.executable, "-m", "gunicorn", "jyotiflow.wsgi:application", "--workers=1"]
COMMANDS = {
    "web": [*WEB, "--bind=127.0.0.1:0"],
    "web without our gunicorn.conf.py": [*WEB, "--config=/dev/null", "--bind=127.0.0.1:0"],
    "worker": [*CELERY, "worker", "--pool=solo"],
    "beat": [*CELERY, "beat", "--pidfile="],
}
HOST = "followups.jyotiflow.org"


def production(**changes: str) -> dict[str, str]:
    """The environment of a production whose operator read the deployment page, but for the changes."""
    kept = {name: os.environ[name] for name in ("PATH", "DATABASE_URL", "REDIS_URL")}
    return {
        **kept,
        "ENV_FILES": "off",
        "PUBLIC_BASE_URL": f"https://{HOST}",
        "ALLOWED_HOSTS": HOST,
        "SECRET_KEY": secrets.token_urlsafe(48),
        "JWT_SECRET": secrets.token_urlsafe(48),
        "ADDRESS_HASH_SALT": secrets.token_urlsafe(48),
        "METRICS_TOKEN": secrets.token_urlsafe(48),
        "NUM_PROXIES": "1",
        "EMAIL_ESP": "postmark",
        "EMAIL_FROM": "JyotiFlow <followups@jyotiflow.org>",
        "ANYMAIL_POSTMARK_SERVER_TOKEN": "token",
        "ANYMAIL_WEBHOOK_SECRET": f"postmark:{secrets.token_urlsafe(24)}",
        "SANDBOX_CHANNELS": "sms,whatsapp,push",
        **changes,
    }


def manage(*arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )


def test_check_deploy_is_clean() -> None:
    done = manage("check", "--deploy", "--fail-level=WARNING", environment=production())
    assert (done.returncode, done.stderr.strip()) == (0, ""), done.stderr


# What each careless line of a .env must be answered with.
CARELESS = {
    "SECRET_KEY": ("short", "SECRET_KEY is shorter than 32 characters."),
    "JWT_SECRET": ("change-me-change-me-change-me-change-me", "JWT_SECRET is a placeholder."),
    "DEBUG": ("true", "DEBUG is on while PUBLIC_BASE_URL is https."),
    "ANYMAIL_WEBHOOK_SECRET": ("", "ANYMAIL_WEBHOOK_SECRET is missing or can be guessed."),
    "SANDBOX_CHANNELS": ("sms,whatsapp", "The channel 'push' sends nothing: it is in the sandbox."),
    "ALLOWED_HOSTS": ("*", "ALLOWED_HOSTS takes any host."),
    "METRICS_TOKEN": ("metrics", "METRICS_TOKEN can be guessed."),
    "TWILIO_API_BASE_URL": ("https://169.254.169.254", "TWILIO_API_BASE_URL is a link-local"),
    "USER_RATE": ("many", "USER_RATE is not a rate."),
    "FAILPOINTS": ("after_claim=kill", "FAILPOINTS is set outside tests."),
    "EMAIL_FROM": ("JyotiFlow <followups@jyotiflow.test>", "EMAIL_FROM is a placeholder."),
}


def test_nothing_starts_on_careless_settings_and_each_is_named() -> None:
    environment = production(**{name: value for name, (value, _) in CARELESS.items()})

    def start(command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )

    with ThreadPoolExecutor(max_workers=2) as threads:
        ended = dict(zip(COMMANDS, threads.map(start, COMMANDS.values()), strict=True))
    for name, process in ended.items():
        said = process.stdout + process.stderr
        assert process.returncode, name
        missing = [text for _, text in CARELESS.values() if text not in said]
        assert missing == [], name
        for value in (environment["DATABASE_URL"], environment["ADDRESS_HASH_SALT"]):
            assert value not in said, name


@pytest.mark.parametrize("name", ["SECRET_KEY", "JWT_SECRET", "DATABASE_URL", "REDIS_URL"])
def test_what_must_be_set_is_asked_for_by_name(name: str) -> None:
    environment = production()
    del environment[name]
    done = manage("check", environment=environment)
    assert done.returncode
    assert f"{name} is not set." in done.stderr or f"The {name} setting must not be empty." in done.stderr


@pytest.fixture
def web() -> Iterator[int]:
    """The web process in production, behind no proxy but us."""
    collected = manage("collectstatic", "--noinput", "--verbosity=0", environment=production())
    assert collected.returncode == 0, collected.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*WEB, f"--bind=127.0.0.1:{port}"], cwd=ROOT, env=production(), stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def ask(port: int, path: str, **headers: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    with contextlib.closing(connection):
        connection.request(
            "GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )
        answer = connection.getresponse()
        answer.read()
        return answer


def test_production_serves_https_only_and_says_so(web: int) -> None:
    plain = ask(web, "/accounts/login", Host=HOST)
    assert (plain.status, plain.headers["Location"]) == (301, f"https://{HOST}/accounts/login")
    page = ask(web, "/accounts/login", Host=HOST, X_Forwarded_Proto="https")
    assert page.status == 200
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    cookie = page.headers["Set-Cookie"]
    assert cookie.startswith("csrftoken=")
    assert "Secure" in cookie
    assert "SameSite=Lax" in cookie
    lying = ask(web, "/accounts/login", Host="lying.example", X_Forwarded_Proto="https")
    assert lying.status == 400
    forwarded = ask(web, "/", Host=HOST, X_Forwarded_Proto="https", X_Forwarded_Host="lying.example")
    assert "lying" not in forwarded.headers["Location"]
    assert ask(web, "/livez", Host=HOST).status == 200  # probes speak plain HTTP
