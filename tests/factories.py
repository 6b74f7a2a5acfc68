"""Rows for tests. Each factory makes one valid row; a test names only what it is about."""

import datetime as dt
from typing import Any, TypeVar

from django.utils.timezone import now
from factory.declarations import LazyFunction, Sequence, SubFactory, Trait
from factory.django import DjangoModelFactory, Password

from jyotiflow.accounts.models import User
from sessions_app.models import Session

PASSWORD = "correct horse battery staple"


Row = TypeVar("Row")


class RowFactory(DjangoModelFactory[Row]):
    """Tells the type checker that calling a factory makes a row; the library's metaclass never gets here."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Row:  # type: ignore[misc]
        raise NotImplementedError


class UserFactory(RowFactory[User]):
    """A user who may sign in with ``PASSWORD``."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    class Params:
        staff = Trait(is_staff=True)
        admin = Trait(is_staff=True, is_superuser=True)

    email = Sequence(lambda n: f"user{n}@example.test")
    name = Sequence(lambda n: f"User {n}")
    password = Password(PASSWORD)


class SessionFactory(RowFactory[Session]):
    """An open session; ``completed=True`` for one that ended an hour ago."""

    class Meta:
        model = Session

    class Params:
        completed = Trait(
            status=Session.Status.COMPLETED,
            completed_at=LazyFunction(lambda: now() - dt.timedelta(hours=1)),
            guidance_summary="Patience brings what haste drives away.",
        )

    user = SubFactory(UserFactory)
    service_type = "spiritual_guidance"
    question = "When should I begin?"
