"""What providers' errors mean, as rows an admin may change."""

from django.core.validators import URLValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from followups.choices import (
    RETRY_WORDS,
    WORDS_BY_PHASE,
    ErrorPhase,
    ErrorWord,
    RuleOrigin,
    SuppressionReason,
)

LONGEST_WAIT_SECONDS = 86_400
MOST_RETRIES = 5


class ErrorRule(models.Model):
    """One code of one provider and its meaning.

    Only edited rows decide; the others show what is shipped, or was seen and waits to be classified.
    """

    provider = models.CharField(max_length=30, help_text=_("twilio, fcm, smtp, a mail service, or esp: any."))
    phase = models.CharField(max_length=10, choices=ErrorPhase)
    code = models.CharField(max_length=50, help_text=_("The provider's code, an HTTP status, or 5xx."))
    word = models.CharField(max_length=15, choices=ErrorWord)
    sentence = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text=_("For the reader of the message; of a misconfiguration, for operators."),
    )
    suppress = models.CharField(
        max_length=20,
        choices=SuppressionReason,
        blank=True,
        default="",
        help_text=_("Write no more to the address, for this reason. For push: forget the device."),
    )
    retry_after = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Least seconds before the next try.")
    )
    most_retries = models.PositiveSmallIntegerField(
        default=0, help_text=_("How many further attempts after a reported failure.")
    )
    counts_try = models.BooleanField(
        default=True, help_text=_("Whether a message not taken uses up one of its tries.")
    )
    alarms = models.BooleanField(
        default=False, help_text=_("Log an error each time, so that somebody looks.")
    )
    docs_url = models.CharField(
        max_length=200, blank=True, default="", validators=[URLValidator(schemes=["https"])]
    )
    note = models.CharField(max_length=200, blank=True, default="")
    origin = models.CharField(max_length=10, choices=RuleOrigin, default=RuleOrigin.EDITED)
    seen_count = models.PositiveIntegerField(default=0, help_text=_("Times it was met while unknown."))
    first_seen_at = models.DateTimeField(null=True, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "follow_up_error_rules"
        verbose_name = _("error rule")
        ordering = ["provider", "phase", "code"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "phase", "code"], name="error_rule_once_per_code"),
            models.CheckConstraint(
                condition=models.Q(origin__in=RuleOrigin.values), name="error_rule_origin_known"
            ),
            models.CheckConstraint(
                condition=models.Q(suppress__in=["", *SuppressionReason.values]),
                name="error_rule_suppress_known",
            ),
            models.CheckConstraint(
                condition=models.Q(phase=ErrorPhase.CALL, word__in=WORDS_BY_PHASE[ErrorPhase.CALL])
                | models.Q(phase=ErrorPhase.REPORT, word__in=WORDS_BY_PHASE[ErrorPhase.REPORT]),
                name="error_rule_word_fits_phase",
                violation_error_message=_(
                    "A call is later, rejected, misconfigured or unknown; a report is rejected, retry, "
                    "window or record."
                ),
            ),
            models.CheckConstraint(
                condition=models.Q(word__in=RETRY_WORDS, most_retries__range=(1, MOST_RETRIES))
                | (~models.Q(word__in=RETRY_WORDS) & models.Q(most_retries=0)),
                name="error_rule_retries_iff_retried",
                violation_error_message=_("Retry and window need 1 to 5 retries, other words 0."),
            ),
            models.CheckConstraint(
                condition=models.Q(retry_after__isnull=True)
                | models.Q(word__in=[ErrorWord.LATER, *RETRY_WORDS], retry_after__lte=LONGEST_WAIT_SECONDS),
                name="error_rule_waits_only_when_tried_again",
                violation_error_message=_(
                    "Only later, retry and window wait, and at most 86400 seconds: leave it empty."
                ),
            ),
            models.CheckConstraint(
                condition=models.Q(suppress="") | models.Q(word__in=[ErrorWord.REJECTED, ErrorWord.RECORD]),
                name="error_rule_suppresses_only_what_ended",
                violation_error_message=_("Only rejected and record may stop an address."),
            ),
            models.CheckConstraint(
                condition=~models.Q(word__in=[ErrorWord.REJECTED, ErrorWord.MISCONFIGURED, *RETRY_WORDS])
                | ~models.Q(sentence=""),
                name="error_rule_says_why",
                violation_error_message=_("Say why, in a sentence."),
            ),
            models.CheckConstraint(
                condition=~models.Q(origin=RuleOrigin.SEEN)
                | models.Q(first_seen_at__isnull=False, last_seen_at__isnull=False, seen_count__gt=0),
                name="error_rule_seen_has_times",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.code}"
