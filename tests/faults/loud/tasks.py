"""A task with a bug."""

from celery import shared_task

from jyotiflow.accounts.models import User


@shared_task(name="tests.faults.loud.fail")
def fail(user_id: int) -> None:
    """Raises everything it knows about a person."""
    user = User.objects.get(pk=user_id)
    raise RuntimeError(f"{user.email} {user.phone} {user.name} {list(user.sessions.values())}")
