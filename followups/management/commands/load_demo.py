"""Demo accounts and one session driven through, for a local run only."""

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from credits.selectors import balance_of
from credits.services import grant
from followups.models import Device
from followups.services.consent import register_device
from followups.services.scheduling import send_now
from jyotiflow.accounts.models import Language, User
from jyotiflow.exceptions import DomainError
from sessions_app.models import Session
from sessions_app.services import complete_session

STARTING_CREDITS = 100
PEOPLE = (
    {
        "email": "user@jyotiflow.test",
        "name": "லட்சுமி",
        "preferred_language": Language.TAMIL,
        "timezone": "Asia/Kolkata",
        "phone": "+919840012345",
    },
    {
        "email": "admin@jyotiflow.test",
        "name": "Arjun",
        "preferred_language": Language.ENGLISH,
        "timezone": "Europe/London",
        "phone": "+447400123456",
        "is_staff": True,
        "is_superuser": True,
    },
)
GUIDANCE = {
    Language.TAMIL: "தினமும் காலையில் பத்து நிமிடம் அமைதியாக அமருங்கள்; குடும்பத்துடன் பேசும் முன் மூச்சைக் கவனியுங்கள்.",
    Language.ENGLISH: "Begin each day with ten quiet minutes, and let the role come to you.",
}
QUESTION = {
    Language.TAMIL: "குடும்பத்தில் அமைதி நிலவ நான் என்ன செய்ய வேண்டும்?",
    Language.ENGLISH: "Should I accept the new role I was offered?",
}


class Command(BaseCommand):
    """Refuses to run in production. Repeating it completes one more session for each account."""

    help = "Create the demo accounts (password from DEMO_PASSWORD) and complete one session for each."

    def handle(self, *args: Any, **options: Any) -> None:
        password = os.environ.get("DEMO_PASSWORD", "")
        if settings.SECURE_COOKIES:
            raise CommandError("Demo accounts are for local runs; PUBLIC_BASE_URL is a public https address.")
        if not password:
            raise CommandError("Set DEMO_PASSWORD: the demo accounts' password.")
        for person in PEOPLE:
            self._drive(self._account(person, password))

    @transaction.atomic
    def _account(self, person: dict[str, Any], password: str) -> User:
        user = User.objects.filter(email=person["email"]).first() or User.objects.create_user(**person)
        user.set_password(password)
        user.save(update_fields=["password"])
        if balance_of(user) < STARTING_CREDITS / 2:  # a demo that was started often needs more
            key = f"demo:{user.pk}:{user.sessions.count()}"
            grant(user=user, amount=STARTING_CREDITS, reason="Welcome to the demo", key=key)
        register_device(user=user, token=f"demo-device-{user.pk}", platform=Device.Platform.ANDROID)
        return user

    def _drive(self, user: User) -> None:
        language = Language(user.preferred_language)
        session = Session.objects.create(user=user, service_type="life_guidance", question=QUESTION[language])
        complete_session(session_id=session.pk, guidance_summary=GUIDANCE[language])
        try:
            follow_up = send_now(user=user, session_id=session.pk, channel="email")
        except DomainError as refused:  # settings or templates were changed since: the run itself goes on
            self.stdout.write(f"Session {session.pk}: nothing goes out now. {refused.message}")
        else:
            self.stdout.write(f"Session {session.pk}: follow-up {follow_up.pk} goes out now.")
