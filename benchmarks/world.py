"""The people of a benchmark and what is booked for them: one by the services, the rest copies of it."""

import io
from collections.abc import Sequence
from datetime import timedelta

from django.core.management import call_command
from django.db import connection
from django.utils.timezone import now

from benchmarks.rows import copy, row_of, settle_down
from credits.models import CreditAccount, CreditEntry
from credits.services import grant
from followups.models import FollowUpSchedule, FollowUpTemplate
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.services.templates import save_template
from jyotiflow.accounts.models import User
from sessions_app.models import Session
from sessions_app.services import complete_session

CREDITS = 1_000
QUEUE_TABLES = ("follow_up_schedules", "follow_up_attempts", "follow_up_events")
# So long ago that nobody plans it any more: it was imported, not missed.
_COMPLETED = timedelta(days=8)
_MAIL = """Dear {{user_name}},

Thank you for your {{service_type}} session on {{session_date}}. This is what we spoke about:

{{guidance_summary}}

Take ten quiet minutes with it this week, at the same hour each day if you can. Write down what comes up, and
bring it to your next session. If anything in it troubles you, simply answer this mail.

With warm wishes,
your guide at JyotiFlow"""
_SHORT = "Dear {{user_name}}, how are you since we spoke? Your guide at JyotiFlow"
_SUMMARY = (
    "Begin each day with ten quiet minutes, and let the role come to you. Speak with your family before you "
    "decide, and give yourself until the new moon."
)


class World:
    """Readers 1 to ``readers``, each with credits and a completed session, ``session-<number>``."""

    def __init__(self, *, readers: int, channels: Sequence[str] = ("email",)) -> None:
        call_command("load_starters", stdout=io.StringIO())
        # No quiet hours and no gap: a run takes place at any hour.
        night = {"quiet_hours_start": "00:00", "quiet_hours_end": "00:00"}
        update_settings(changes={"min_interval_hours": 0, **night})
        self.user = User.objects.create_user("reader0@example.test", name="Reader 0", phone="+919840000000")
        session = Session.objects.create(user=self.user, service_type="life_guidance", question="Should I?")
        self.session = complete_session(session_id=session.pk, guidance_summary=_SUMMARY)
        Session.objects.filter(pk=session.pk).update(completed_at=now() - _COMPLETED)
        # Only now: on completion there was nothing to pay its sequence with.
        grant(user=self.user, amount=CREDITS, reason="to be written to", key="bench")
        self._copy_readers(readers)
        self.templates = {channel: _template(channel) for channel in channels}
        self._follow_ups = {channel: self._book(template) for channel, template in self.templates.items()}

    def fill(
        self, count: int, *, channel: str = "email", due: str = "statement_timestamp()", **columns: str
    ) -> None:
        """Nothing in the queue but ``count`` follow-ups, one a reader.

        ``due`` and other ``columns`` are SQL that may name a reader's number, ``n``.
        """
        self.clear()
        differs = {
            "id": "gen_random_uuid()",
            "user_id": f"{self.user.pk} + n",
            "user_email": "'reader' || n || '@example.test'",
            "session_id": "'session-' || n",
            "scheduled_at": due,
            "due_at": due,
        }
        copy("follow_up_schedules", self._follow_ups[channel], count=count, **(differs | columns))
        settle_down(*QUEUE_TABLES, "sessions")

    def clear(self) -> None:
        """Nothing in the queue, and no trace of it in the sessions."""
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {', '.join(QUEUE_TABLES)} CASCADE")
            cursor.execute(
                "UPDATE sessions SET follow_up_count = 0, follow_up_sent = false"
                " WHERE follow_up_count <> 0 OR follow_up_sent"
            )

    def open_sessions(self, count: int) -> None:
        """One more session for each of ``count`` readers, not completed: ``open-<number>``."""
        table = Session._meta.db_table
        row = row_of(table, self.session.pk) | {"status": "open", "completed_at": None, "follow_up_count": 0}
        copy(table, row, count=count, id="'open-' || n", user_id=f"{self.user.pk} + n")
        settle_down(table)

    def _copy_readers(self, count: int) -> None:
        users, sessions = User._meta.db_table, Session._meta.db_table
        accounts, entries = CreditAccount._meta.db_table, CreditEntry._meta.db_table
        account = CreditAccount.objects.get(user=self.user)
        whose = f"{self.user.pk} + n"
        copy(
            users,
            row_of(users, self.user.pk),
            count=count,
            id=whose,
            email="'reader' || n || '@example.test'",
            name="'Reader ' || n",
            phone="'+9198400' || lpad(n::text, 5, '0')",
        )
        copy(sessions, row_of(sessions, self.session.pk), count=count, id="'session-' || n", user_id=whose)
        copy(accounts, row_of(accounts, account.pk), count=count, id=f"{account.pk} + n", user_id=whose)
        copy(
            entries,
            row_of(entries, account.entries.get().pk),
            count=count,
            id="gen_random_uuid()",
            account_id=f"{account.pk} + n",
            idempotency_key="'bench:' || n",
        )
        settle_down(users, sessions, accounts, entries)

    def _book(self, template: FollowUpTemplate) -> dict[str, object]:
        follow_up = schedule_follow_up(
            user=self.user, template_id=template.pk, session_id=self.session.pk, scheduled_at=now()
        )
        return row_of(FollowUpSchedule._meta.db_table, follow_up.pk)


def _template(channel: str) -> FollowUpTemplate:
    return save_template(
        fields={
            "name": f"After a session, by {channel}",
            "template_type": "session_followup",
            "channel": channel,
            "subject": "After your session, {{user_name}}",
            "content": _MAIL if channel == "email" else _SHORT,
            "credits_cost": 3,
        }
    )[0]
