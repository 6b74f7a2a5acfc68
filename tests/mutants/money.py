"""Bugs in credits, prices and refunds."""

from tests.mutants.mutation import Mutation

WITHDRAWING = "tests/followups/test_withdrawing.py"
LEDGER = "tests/credits/test_ledger.py"
USER_API = "tests/followups/api/test_follow_ups.py"
CONSTRAINTS = "tests/properties/test_constraints.py"

MONEY = (
    Mutation(
        "a charge is taken whatever the balance",
        "credits/services.py",
        " AND balance + %(amount)s >= 0",
        "",
        (LEDGER,),
    ),
    Mutation(
        "a repeated key moves credits again",
        "credits/services.py",
        "SELECT FROM credit_entries WHERE idempotency_key = %(key)s",
        "SELECT FROM credit_entries WHERE false",
        (LEDGER,),
    ),
    Mutation(
        "a ledger key is unique in the code alone",
        "credits/migrations/0001_ledger.py",
        "models.CharField(max_length=200, unique=True)",
        "models.CharField(max_length=200)",
        (CONSTRAINTS,),
    ),
    Mutation(
        "a balance may fall below zero in the database",
        "credits/migrations/0001_ledger.py",
        'models.Q(("balance__gte", 0)), name="credit_balance_not_negative"',
        'models.Q(("balance__gte", -9)), name="credit_balance_not_negative"',
        (CONSTRAINTS,),
    ),
    Mutation(
        "entries can be changed",
        "credits/migrations/0001_ledger.py",
        "RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;",
        "RETURN COALESCE(NEW, OLD);",
        (CONSTRAINTS,),
    ),
    Mutation(
        "a message is called failed whatever it is",
        "followups/services/withdrawing.py",
        "if follow_up.status not in from_states:",
        "if False:",
        (WITHDRAWING,),
    ),
    Mutation(
        "what fails is not refunded",
        "followups/services/withdrawing.py",
        "    if due:\n        refund(",
        "    if False:\n        refund(",
        ("tests/followups/test_delivery.py::test_a_refused_message_fails_and_is_refunded_once",),
    ),
    Mutation(
        "anything can be cancelled",
        "followups/selectors/changes.py",
        'as the settings say."""\n    if follow_up.status != State.PENDING:',
        'as the settings say."""\n    if False:',
        (WITHDRAWING,),
    ),
    Mutation(
        "cancelling refunds whatever the settings say",
        "followups/services/withdrawing.py",
        "refunds=settings.refund_on_cancel",
        "refunds=True",
        ("tests/followups/test_settings_flip.py::test_flip_refund_on_cancel",),
    ),
    Mutation(
        "a free template costs the default",
        "followups/selectors/refusals.py",
        "if template.credits_cost is None else",
        "if not template.credits_cost else",
        (
            "tests/followups/first_implementation/test_money.py::test_orig_02_the_price_is_the_templates_and_free_means_free",
        ),
    ),
    Mutation(
        "charging can't be switched off",
        "followups/selectors/refusals.py",
        "if not settings.enable_credit_charging:",
        "if False:",
        ("tests/followups/test_settings_flip.py::test_flip_enable_credit_charging",),
    ),
    Mutation(
        "an unreadable switch turns charging on",
        "followups/selectors/settings.py",
        "setting.default if setting.safe is None else setting.safe",
        "setting.default",
        ("tests/followups/first_implementation/test_money.py",),
    ),
    Mutation(
        "a client may name a price",
        "followups/api/serializers.py",
        "if name not in self.fields]",
        "if False]",
        ("tests/followups/first_implementation/test_money.py",),
    ),
    Mutation(
        "a booking isn't charged",
        "followups/services/scheduling.py",
        "amount=follow_up.credits_charged,",
        "amount=0,",
        (f"{USER_API}::test_a_follow_up_is_scheduled_charged_and_listed",),
    ),
    Mutation(
        "the idempotency key is ignored",
        "followups/api/once.py",
        "if key is None:",
        "if True:",
        (f"{USER_API}::TestIdempotencyKey",),
    ),
    Mutation(
        "an idempotency key answers any request",
        "followups/services/idempotency.py",
        "if first.request_hash != fingerprint:",
        "if False:",
        (f"{USER_API}::TestIdempotencyKey",),
    ),
    Mutation(
        "a session has no limit",
        "followups/selectors/refusals.py",
        "order.session.follow_up_count >= settings.max_followups_per_session",
        "False",
        (f"{USER_API}::test_a_session_takes_so_many_follow_ups_and_withdrawn_ones_do_not_count",),
    ),
    Mutation(
        "what may have gone out is tried again",
        "followups/selectors/changes.py",
        "if not _never_went_out(follow_up):",
        "if False:",
        ("tests/followups/api/test_admin.py",),
    ),
)
