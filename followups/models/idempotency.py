"""First answers to requests that carried an idempotency key."""

from django.conf import settings
from django.db import models


class IdempotentAnswer(models.Model):
    """The answer one user got under one key. The unique row is also the lock between parallel repeats."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    request_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.TextField(null=True, help_text="JSON, as it was answered.")  # noqa: DJ001  null until answered
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        db_table = "follow_up_idempotent_answers"
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once_per_user")]

    def __str__(self) -> str:
        return f"answer {self.pk}"
