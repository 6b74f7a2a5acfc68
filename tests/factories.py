"""Rows for tests. Each factory makes one valid row; a test names only what it is about."""

import datetime as dt

import factory
from django.utils.timezone import now
from factory.django import DjangoModelFactory

from jyotiflow.accounts.models import User
from sessions_app.models import Session

PASSWORD = "correct horse battery staple"


class UserFactory(DjangoModelFactory):
    """A user who may sign in with ``PASSWORD``."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    class Params:
        staff = factory.Trait(is_staff=True)
        admin = factory.Trait(is_staff=True, is_superuser=True)

    email = factory.Sequence(lambda n: f"user{n}@example.test")
    name = factory.Sequence(lambda n: f"User {n}")
    password = factory.django.Password(PASSWORD)


class SessionFactory(DjangoModelFactory):
    """An open session; ``completed=True`` for one that ended an hour ago."""

    class Meta:
        model = Session

    class Params:
        completed = factory.Trait(
            status=Session.Status.COMPLETED,
            completed_at=factory.LazyFunction(lambda: now() - dt.timedelta(hours=1)),
            guidance_summary="Patience brings what haste drives away.",
        )

    user = factory.SubFactory(UserFactory)
    service_type = "spiritual_guidance"
    question = "When should I begin?"
