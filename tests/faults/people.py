"""Who is written to and what: accounts with every address, templates for every channel, bookings."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from credits.services import grant, lock_account
from followups.choices import Origin
from followups.models import Device, FollowUpTemplate
from followups.selectors import refusals
from followups.selectors.settings import effective_settings
from followups.services.scheduling import book
from followups.services.settings import load_default_settings, update_settings
from followups.services.templates import save_template
from jyotiflow.accounts.models import User

CHANNELS = ("email", "sms", "whatsapp", "push", "in_app")
CREDITS = 10_000
AT_ONCE = 50  # bookings in one transaction
TEXT = "Dear {{user_name}}, how are you since we spoke? {{mark}}"


@dataclass(frozen=True)
class World:
    """Everybody and everything there is to book: the dear and the free template of each channel."""

    users: Sequence[User]
    admin: User
    dear: Mapping[str, FollowUpTemplate]
    free: Mapping[str, FollowUpTemplate]

    def template(self, channel: str, *, draw: random.Random) -> FollowUpTemplate:
        """Four in five cost something."""
        return (self.free if draw.random() < 0.2 else self.dear)[channel]


@dataclass(frozen=True)
class Order:
    """One message to be booked; ``mark`` is in its text and tells it from every other."""

    mark: str
    user: User
    template: FollowUpTemplate
    at: datetime


def make_world(*, users: int) -> World:
    """Fresh accounts with credits and every address; limits on how much one may book are lifted."""
    load_default_settings()
    night = {"quiet_hours_start": "00:00", "quiet_hours_end": "00:00"}  # none: a run takes place at any hour
    update_settings(changes={"min_interval_hours": 0, **night})
    people = User.objects.bulk_create(
        [
            User(
                email=f"reader{number}@example.test",
                name=f"Reader {number}",
                phone=f"+9198400{number:05}",
                password="!",
            )
            for number in range(users)
        ]
    )
    for user in people:
        grant(user=user, amount=CREDITS, reason="to be written to", key=f"faults:{user.pk}")
    Device.objects.bulk_create(
        [Device(user=user, token=f"device-{user.pk}", platform=Device.Platform.ANDROID) for user in people]
    )
    admin = User.objects.create_superuser("admin@example.test", "not used to sign in")
    return World(
        users=people,
        admin=admin,
        dear={channel: _template(channel, price=3) for channel in CHANNELS},
        free={channel: _template(channel, price=0) for channel in CHANNELS},
    )


def book_all(orders: Sequence[Order]) -> dict[str, str]:
    """Book by the service, many in one transaction; returns each mark's follow-up."""
    told: dict[str, str] = {}
    in_force = effective_settings()
    for first in range(0, len(orders), AT_ONCE):
        with transaction.atomic():
            for order in orders[first : first + AT_ONCE]:
                account = lock_account(user=order.user)
                wanted = refusals.Order(order.user, order.template, order.at, Origin.MANUAL)
                follow_up = book(wanted, in_force, account=account, custom_variables={"mark": order.mark})
                told[order.mark] = str(follow_up.pk)
    return told


def _template(channel: str, *, price: int) -> FollowUpTemplate:
    return save_template(
        fields={
            "name": f"{channel} for {price}",
            "template_type": "check_in",
            "channel": channel,
            "subject": "How are you, {{user_name}}?",
            "content": TEXT,
            "variables": ["mark"],
            "credits_cost": price,
            **({"whatsapp_content_sid": f"HX{1:032x}"} if channel == "whatsapp" else {}),
        }
    )[0]


def mark_of(number: int) -> str:
    """The mark of one order, as the simulator looks for it in the text."""
    return f"ref-{number}"
