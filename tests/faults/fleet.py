"""The product's own processes, real servers and the simulator, to be killed, frozen and started again.

    with running_fleet(seed=7, email="resend", environment={…}) as fleet:
        fleet.start_web(); fleet.start_worker("w1"); fleet.start_beat("b1"); fleet.wait_until_ready()
        fleet.members["w1"].kill(); fleet.restart("w1")

Nothing is left running, whichever way the block ends. A member's name is the `application_name` of its
database sessions. Use it from the main thread: the kernel ends a child with the thread that started it. Loads
no Django: a scenario does, once `environment` is in `os.environ` (see `play.py`).
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import redis
import requests

from jyotiflow.local.app import QUEUES
from jyotiflow.local.binaries import server_account
from jyotiflow.local.processes import log_tail, start_child, stop_children
from tests.faults.members import ForkServer, Member
from tests.faults.servers import Server, restartable_servers
from tests.faults.simulator.client import ROOT, Simulator, running_simulator
from tests.faults.simulator.resend import KEY as RESEND_KEY
from tests.faults.simulator.twilio import ACCOUNT, TOKEN

READY_SECONDS = 120.0
THREADS = 8  # of a worker
WEBHOOK_SECRET = "simulator:secret"
# As short as the checks allow; the protocol is the same as with the long ones.
QUICK = {
    "FOLLOWUP_READ_TIMEOUT_SECONDS": "2",
    "FOLLOWUP_LEASE_SECONDS": "15",
    "FOLLOWUP_SETTLE_DELAY_SECONDS": "30",
    "FOLLOWUP_LOOK_INTERVAL_SECONDS": "5",
}
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")


class Fleet:
    """Everything that runs; made by ``running_fleet``."""

    def __init__(
        self,
        *,
        home: Path,
        environment: Mapping[str, str],
        port: int,
        postgres: Server,
        valkey: Server,
        simulator: Simulator,
    ) -> None:
        self.home = home
        self.environment = environment
        self.port = port
        self.postgres = postgres
        self.valkey = valkey
        self.simulator = simulator
        self.members: dict[str, Member] = {}
        self._forks = ForkServer(environment=environment, log=home / "forkserver.log")

    def prepare(self) -> None:
        """Load the product for the processes to come, which end with the thread that calls this."""
        self._forks.load()

    @property
    def url(self) -> str:
        """Where the web process answers."""
        return f"http://127.0.0.1:{self.port}"

    def start_web(self, name: str = "web", *, environment: Mapping[str, str] | None = None) -> Member:
        """gunicorn with the product's own settings."""
        command = ["gunicorn", "jyotiflow.wsgi:application", f"--bind=127.0.0.1:{self.port}"]
        return self._start(name, command, environment=environment)

    def start_worker(
        self,
        name: str,
        *,
        queues: str = ",".join(QUEUES.values()),
        threads: int = THREADS,
        clock: float = 0.0,
        environment: Mapping[str, str] | None = None,
    ) -> Member:
        """A Celery worker; ``clock`` seconds ahead of the others.

        One with an ``environment`` of its own (fail points, say) is started from scratch, not forked.
        """
        command = ["celery", "-A", "celery_app", "worker", "--pool=threads", f"--concurrency={threads}"]
        command += [f"--queues={queues}", "--loglevel=INFO", f"--hostname={name}@%h"]
        command += ["--without-gossip", "--without-mingle"]
        return self._start(name, command, clock=clock, environment=environment)

    def start_beat(self, name: str, *, environment: Mapping[str, str] | None = None) -> Member:
        """Celery's beat, reading its schedule from the database."""
        command = ["celery", "-A", "celery_app", "beat", "--pidfile="]
        command += ["--scheduler=django_celery_beat.schedulers:DatabaseScheduler"]
        return self._start(name, command, environment=environment)

    def start(self, name: str, command: Sequence[str]) -> Member:
        """Any other module with its arguments, forked with the product loaded."""
        return self._start(name, command)

    def restart(self, name: str) -> Member:
        """Start one again as it was, killed first if it still runs."""
        old = self.members[name]
        self.end(name)
        return self._start(name, old.command, clock=old.clock, environment=old.environment)

    def end(self, name: str) -> None:
        """Kill one for good."""
        member = self.members.pop(name)
        member.kill()
        if member.child:
            member.child.process.wait()

    def is_running(self, name: str) -> bool:
        """Whether the process itself is still there."""
        member = self.members[name]
        return member.child.is_running if member.child else self._forks.is_running(member.pid)

    def restart_postgres(self) -> None:
        """`pg_ctl -m immediate restart`: what was not committed is gone, every connection breaks."""
        self.postgres.end(signal.SIGQUIT)
        self.postgres.start()

    def restart_valkey(self, *, down_seconds: float = 0.0) -> None:
        """kill -9 and start again, empty, on the same port."""
        self.valkey.end(signal.SIGKILL)
        time.sleep(down_seconds)
        self.valkey.start()

    def flush_valkey(self) -> None:
        """Forget every task, cache entry and lock."""
        with redis.Redis.from_url(self.valkey.url, socket_timeout=5) as client:
            client.flushall()

    def wait_until_ready(self) -> None:
        """Until /readyz says that web, worker and beat are all up. Raises ``TimeoutError``."""
        deadline, answer = time.monotonic() + READY_SECONDS, "no answer"
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.RequestException):
                response = requests.get(f"{self.url}/readyz", timeout=5)
                if response.status_code == 200:
                    return
                answer = response.text
            time.sleep(0.2)
        tails = "\n".join(f"{path.name}:\n{log_tail(path, lines=8)}" for path in self.home.glob("*.log"))
        raise TimeoutError(f"Not ready: {answer}\n{tails}")

    def close(self) -> None:
        """Kill every member."""
        for name in list(self.members):
            self.end(name)
        self._forks.close()

    def _start(
        self,
        name: str,
        command: Sequence[str],
        *,
        clock: float = 0.0,
        environment: Mapping[str, str] | None = None,
    ) -> Member:
        log = self.home / f"{name}.log"
        if environment:
            child = start_child(
                name=name,
                command=[sys.executable, "-m", *command],
                log=log,
                env={**self.environment, "PGAPPNAME": name, **environment},
                cwd=ROOT,
            )
            member = Member(name, command, log, child.process.pid, 0.0, environment, child)
        else:
            member = Member(name, command, log, self._forks.start(name, command, log=log, clock=clock), clock)
        self.members[name] = member
        return member


@contextlib.contextmanager
def running_fleet(
    *,
    seed: int = 0,
    email: str = "resend",
    environment: Mapping[str, str] | None = None,
    keep: bool = False,
) -> Iterator[Fleet]:
    """Migrated servers and the simulator, with every channel configured on it; members are yours to start.

    ``email`` is ``resend`` or ``smtp``. ``environment`` goes over the defaults. ``keep`` leaves the logs and
    says where.
    """
    home = Path(tempfile.mkdtemp(prefix="jyotiflow-faults-"))
    home.chmod(0o711 if server_account() else 0o700)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    base = {name: os.environ[name] for name in _KEPT if name in os.environ}
    with contextlib.ExitStack() as stack:
        if keep:
            sys.stderr.write(f"logs stay in {home}\n")
        else:
            stack.callback(shutil.rmtree, home, ignore_errors=True)
        servers = stack.enter_context(restartable_servers(home=home))
        simulator = stack.enter_context(
            running_simulator(
                home=home / "simulator",
                seed=seed,
                webhook=f"{url}/api/followup/receipts/email/resend",
                webhook_secret=WEBHOOK_SECRET,
                env=base,
            )
        )
        full = {
            **base,
            "ENV_FILES": "off",
            "TESTING": "true",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "JWT_SECRET": secrets.token_urlsafe(50),
            "PUBLIC_BASE_URL": url,
            "DATABASE_URL": servers.postgres.url,
            "DATABASE_POOL_SIZE": "12",
            "REDIS_URL": servers.valkey.url,
            **QUICK,
            **_providers(simulator, email),
            **(environment or {}),
        }
        _migrate(full, home / "migrate.log")
        fleet = Fleet(
            home=home,
            environment=full,
            port=port,
            postgres=servers.postgres,
            valkey=servers.valkey,
            simulator=simulator,
        )
        stack.callback(fleet.close)
        yield fleet


def _providers(simulator: Simulator, email: str) -> dict[str, str]:
    variables = {
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_SMS_NUMBER": "+15005550006",
        "TWILIO_WHATSAPP_NUMBER": "+15005550007",
        "TWILIO_API_BASE_URL": simulator.url("twilio"),
        "FIREBASE_SERVICE_ACCOUNT_KEY_PATH": str(simulator.home / "firebase.json"),
        "FIREBASE_API_BASE_URL": simulator.url("fcm"),
        "EMAIL_FROM": "JyotiFlow <followups@jyotiflow.example>",
    }
    if email == "smtp":
        return variables | {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(simulator.places["smtp"])}
    return variables | {
        "EMAIL_ESP": "resend",
        "ANYMAIL_RESEND_API_URL": f"{simulator.url('resend')}/",
        "ANYMAIL_RESEND_API_KEY": RESEND_KEY,
        "ANYMAIL_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }


def _migrate(environment: Mapping[str, str], log: Path) -> None:
    child = start_child(
        name="migrate",
        command=[sys.executable, "manage.py", "migrate", "--verbosity=0"],
        log=log,
        env=environment,
        cwd=ROOT,
    )
    try:
        if child.process.wait(READY_SECONDS):
            raise RuntimeError(f"migrate failed.\n{log_tail(log, lines=20)}")
    finally:
        stop_children([child], grace_seconds=0)


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
