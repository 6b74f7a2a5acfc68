"""The product as a contender: due rows, the beat's tick, workers, providers, durable outcomes."""

import io
import time
from collections.abc import Sequence
from datetime import timedelta

from django.core.management import call_command
from django.db import connection, transaction
from django.utils.timezone import now

from benchmarks.parts import Invalid
from benchmarks.rows import copy, row_of, settle_down
from benchmarks.setup import Ours
from benchmarks.sink.control import Sink
from benchmarks.stage import Stage
from benchmarks.workers import Workers
from celery_app import app
from credits.services import grant, lock_account
from followups.choices import Origin
from followups.models import FollowUpSchedule, FollowUpTemplate
from followups.selectors.refusals import Order
from followups.selectors.settings import effective_settings
from followups.services.scheduling import book
from followups.services.settings import update_settings
from followups.services.templates import save_template
from jyotiflow.accounts.models import User
from jyotiflow.local.app import QUEUES
from sessions_app.models import Session
from sessions_app.services import complete_session

TICK = "followups.tasks.dispatch_due"
TICK_SECONDS = float(app.conf.beat_schedule["dispatch due follow-ups"]["schedule"])
QUEUE_TABLES = ("follow_up_schedules", "follow_up_attempts", "follow_up_events")
_TEXT = """Dear {{user_name}},

Thank you for your {{service_type}} session on {{session_date}}. This is what we spoke about:

{{guidance_summary}}

Take ten quiet minutes with it this week, at the same hour each day if you can. Write down what comes up, and
bring it to your next session. If anything in it troubles you, simply answer this mail.

With warm wishes,
your guide at JyotiFlow"""
_SUMMARY = (
    "Begin each day with ten quiet minutes, and let the role come to you. Speak with your family before you "
    "decide, and give yourself until the new moon."
)


class World:
    """Readers with a completed session each, and one follow-up booked by the service, to be copied."""

    def __init__(self, *, readers: int, channel: str = "email") -> None:
        call_command("load_starters", stdout=io.StringIO())
        update_settings(
            changes={"quiet_hours_start": "00:00", "quiet_hours_end": "00:00"}
        )  # none, at any hour
        self.template = _template(channel)
        self.user = User.objects.create_user("reader0@example.test", name="Reader 0", phone="+919840000000")
        grant(user=self.user, amount=1_000, reason="to be written to", key="bench")
        session = Session.objects.create(user=self.user, service_type="life_guidance", question="Should I?")
        self.session = complete_session(session_id=session.pk, guidance_summary=_SUMMARY)
        self._copy_readers(readers)
        moment = now() - timedelta(minutes=1)
        order = Order(self.user, self.template, moment, Origin.INSTANT, self.session)
        with transaction.atomic():
            account = lock_account(user=self.user)
            follow_up = book(order, effective_settings(), account=account)
        self._follow_up = row_of("follow_up_schedules", follow_up.pk)

    def _copy_readers(self, count: int) -> None:
        users, sessions = User._meta.db_table, Session._meta.db_table
        copy(
            users,
            row_of(users, self.user.pk),
            count=count,
            id=f"{self.user.pk} + n",
            email="'reader' || n || '@example.test'",
            name="'Reader ' || n",
            phone="'+9198400' || lpad(n::text, 5, '0')",
        )
        session = row_of(sessions, self.session.pk)
        copy(
            sessions,
            session | {"follow_up_count": 0},
            count=count,
            id="'session-' || n",
            user_id=f"{self.user.pk} + n",
        )
        settle_down(users, sessions)

    def fill(self, count: int, *, due: str = "statement_timestamp()") -> None:
        """Nothing in the queue but ``count`` follow-ups, one a reader; ``due`` is SQL that may name ``n``."""
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE follow_up_schedules CASCADE")
            cursor.execute("UPDATE sessions SET follow_up_count = 0, follow_up_sent = false")
        copy(
            "follow_up_schedules",
            self._follow_up,
            count=count,
            id="gen_random_uuid()",
            user_id=f"{self.user.pk} + n",
            user_email="'reader' || n || '@example.test'",
            session_id="'session-' || n",
            scheduled_at=due,
            due_at=due,
        )
        settle_down(*QUEUE_TABLES, "sessions")


class OurContender:
    """The product on the workers of ``setup``."""

    def __init__(
        self, stage: Stage, world: World, setup: Ours, *, name: str = "ours", runner: str = "celery"
    ) -> None:
        self.name = name
        self._world = world
        self._ticked = 0.0
        self._sink = Sink(stage.ports["control"])
        self.workers = Workers(
            app,
            name=name,
            module="celery_app",
            processes=setup.processes,
            threads=setup.threads,
            queues=",".join(QUEUES.values()),
            environment={**stage.environment, **setup.environment},
            logs=stage.logs,
            runner=runner,
        )

    @property
    def pids(self) -> Sequence[int]:
        return self.workers.pids

    def load(self, count: int) -> None:
        self._world.fill(count)

    def wake(self) -> None:
        self.workers.thaw()

    def start(self) -> None:
        self._tick()

    def is_done(self, count: int) -> bool:
        if time.monotonic() - self._ticked >= TICK_SECONDS:
            self.workers.require_running()
            self._tick()
        if self._sink.count()["messages"] < count:
            return False
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM follow_up_schedules WHERE status = 'sending')"
                " OR EXISTS (SELECT FROM follow_up_schedules WHERE status = 'pending')"
            )
            return not cursor.fetchone()[0]

    def verify(self, count: int) -> None:
        sent = FollowUpSchedule.objects.filter(status="sent", attempts__state="accepted").count()
        if sent != count:
            raise Invalid(f"{self.name}: {sent} of {count} are sent.\n{self.workers.tail()}")

    def rest(self) -> None:
        self.workers.freeze()

    def close(self, *, grace_seconds: float = 0.0) -> None:
        self.workers.close(grace_seconds=grace_seconds)
        self._sink.close()

    def _tick(self) -> None:
        """What beat sends, as often as beat sends it."""
        self._ticked = time.monotonic()
        app.send_task(TICK, queue="default")


def _template(channel: str) -> FollowUpTemplate:
    return save_template(
        fields={
            "name": "After a session",
            "template_type": "session_followup",
            "channel": channel,
            "subject": "After your session, {{user_name}}",
            "content": _TEXT if channel == "email" else "Dear {{user_name}}, how are you since we spoke?",
            "credits_cost": 3,
        }
    )[0]
