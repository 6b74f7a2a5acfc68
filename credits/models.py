"""The credit ledger: an account's balance and the append-only entries that prove it."""

import uuid

import pgtrigger
from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class CreditAccount(models.Model):
    """One user's credits. The balance never falls below zero and always equals the sum of the entries."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="credit_account"
    )
    balance = models.IntegerField(default=0, db_default=0, editable=False, help_text=_("Credits."))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "credit_accounts"
        constraints = [
            models.CheckConstraint(condition=models.Q(balance__gte=0), name="credit_balance_not_negative")
        ]

    def __str__(self) -> str:
        return f"{self.balance} credits"


class CreditEntry(models.Model):
    """One movement of credits: signed, final, and unique by its idempotency key."""

    class Kind(models.TextChoices):
        GRANT = "grant", _("Grant")
        CHARGE = "charge", _("Charge")
        REFUND = "refund", _("Refund")
        ADJUSTMENT = "adjustment", _("Adjustment")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(
        CreditAccount, on_delete=models.PROTECT, related_name="entries", db_index=False
    )
    kind = models.CharField(max_length=20, choices=Kind)
    amount = models.IntegerField(help_text=_("Credits; charges are negative."))
    idempotency_key = models.CharField(max_length=200, unique=True)
    refunded_entry = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="refund"
    )
    reason = models.CharField(max_length=200, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "credit_entries"
        verbose_name_plural = "credit entries"
        permissions = [("export_creditentry", "Can export credit entries")]
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["account", "-created_at"], name="credit_entry_statement"),
            models.Index(fields=["-created_at", "-id"], name="credit_entry_newest"),
            models.Index(
                fields=["kind", "-created_at", "-id"],
                name="credit_entry_by_hand_newest",
                condition=models.Q(kind__in=["grant", "adjustment"]),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind="grant", amount__gt=0)
                | models.Q(kind="charge", amount__lte=0)
                | models.Q(kind="refund", amount__gte=0)
                | (models.Q(kind="adjustment") & ~models.Q(amount=0)),
                name="credit_entry_sign_follows_kind",
            ),
            models.CheckConstraint(
                condition=models.Q(kind="refund", refunded_entry__isnull=False)
                | (~models.Q(kind="refund") & models.Q(refunded_entry__isnull=True)),
                name="credit_entry_refund_names_its_charge",
            ),
            models.CheckConstraint(
                condition=~models.Q(kind__in=["grant", "adjustment"]) | ~models.Q(reason=""),
                name="credit_entry_by_hand_has_reason",
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="credit_entry_append_only", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount:+d}"
