"""Bugs in who is let in, and what people's wishes are worth."""

from tests.mutants.mutation import Mutation

MACHINE = "tests/followups/api/test_machine.py"
USER_API = "tests/followups/api/test_follow_ups.py"
MOVING = "tests/followups/test_rescheduling.py"
DIRECT = "tests/followups/test_direct.py"

DOORS = (
    Mutation(
        "a report needs no signature",
        "followups/receipts/twilio.py",
        "if is_too_large(request) or not is_signed(request):",
        "if is_too_large(request):",
        (f"{MACHINE}::TestTwilioReceipts",),
    ),
    Mutation(
        "reports of another account are taken",
        "followups/receipts/twilio.py",
        'if not given or request.POST.get("AccountSid") != settings.TWILIO_ACCOUNT_SID:',
        "if not given:",
        (f"{MACHINE}::TestTwilioReceipts",),
    ),
    Mutation(
        "the mail service's secret isn't asked for",
        "followups/receipts/email.py",
        "        view.run_validators(request)\n",
        "        pass\n",
        (f"{MACHINE}::TestEmailReceipts",),
    ),
    Mutation(
        "anybody cancels anything",
        "followups/services/withdrawing.py",
        '**({"user": owner} if owner else {})',
        "**{}",
        (f"{USER_API}::test_another_users_follow_up_is_not_found",),
    ),
    Mutation(
        "anybody moves anything",
        "followups/services/rescheduling.py",
        '**({"user": owner} if owner else {})',
        "**{}",
        (f"{MOVING}::test_nobody_else_s",),
    ),
    Mutation(
        "a reader moves past a booking's limits",
        "followups/selectors/changes.py",
        "    refusals += refusals_of(follow_up, wanted)\n",
        "    refusals = refusals_of(follow_up, wanted)\n",
        (f"{MOVING}::test_the_limits_of_a_booking_hold",),
    ),
    Mutation(
        "a direct message's task calls each time it runs",
        "followups/services/direct.py",
        "if row is not None and _begin(row):",
        "if row is not None:",
        (f"{DIRECT}::test_it_is_called_for_once_however_often_its_task_runs",),
    ),
    Mutation(
        "staff write to who said no",
        "followups/services/direct.py",
        "if RecipientPreference.objects.filter(whose, channels_off__contains=[row.channel]).exists():",
        "if False:",
        (f"{DIRECT}::TestWhoIsNotWrittenTo",),
    ),
    Mutation(
        "an editor sees a reader's words in a preview",
        "followups/api/direct.py",
        'if user_email and not actor.has_perm("accounts.view_user"):',
        "if False:",
        ("tests/followups/api/test_direct.py::TestPreview",),
    ),
    Mutation(
        "a wish changed in the same moment as a STOP undoes it",
        "followups/services/preferences.py",
        "stay = [name for name in preference.channels_off if name not in switches]",
        "stay: list[str] = []",
        ("tests/followups/test_preferences.py",),
    ),
    Mutation(
        "everybody sees everybody's follow-ups",
        "followups/selectors/follow_ups.py",
        "return all_follow_ups().filter(user=user)",
        "return all_follow_ups()",
        (f"{USER_API}::test_another_users_follow_up_is_not_found",),
    ),
    Mutation(
        "anybody's session will do",
        "sessions_app/services.py",
        "if session is None or session.user_id != user.pk:",
        "if session is None:",
        (f"{USER_API}::test_someone_elses_session_is_not_found",),
    ),
    Mutation(
        "being staff is permission enough",
        "followups/api/permissions.py",
        " and request.user.has_perm(needed))",
        ")",
        ("tests/followups/api/test_admin.py",),
    ),
    Mutation(
        "a machine key may do anything",
        "jyotiflow/accounts/machines.py",
        " and request.auth.scope == scope",
        "",
        ("tests/jyotiflow/test_accounts.py::test_a_key_without_the_scope_is_a_403",),
    ),
    Mutation(
        "a token without a valid signature signs in",
        "jyotiflow/accounts/tokens.py",
        'options={"require": ["exp"], ',
        'options={"require": ["exp"], "verify_signature": False, ',
        ("tests/jyotiflow/test_tokens.py",),
    ),
    Mutation(
        "a spent refresh token works again",
        "jyotiflow/accounts/services.py",
        "    if not is_first:\n",
        "    if False:\n",
        ("tests/jyotiflow/test_tokens.py",),
    ),
    Mutation(
        "a closed account signs in",
        "jyotiflow/accounts/tokens.py",
        "if user is None or not user.is_active:",
        "if user is None:",
        ("tests/jyotiflow/test_tokens.py",),
    ),
    Mutation(
        "following an unsubscribe link unsubscribes",
        "followups/web/unsubscribe.py",
        'return self.page(request, self.wish_of(token), state="ask")',
        "return self.post(request, token)",
        ("tests/followups/consent/test_unsubscribing.py",),
    ),
    Mutation(
        "a forged unsubscribe link works",
        "followups/links.py",
        'signer.unsign(token).split("-")',
        'token.rpartition(".")[0].split("-")',
        ("tests/followups/consent/test_unsubscribing.py",),
    ),
    Mutation(
        "the word STOP is heard and forgotten",
        "followups/services/inbound.py",
        "if reply.kind == ReplyKind.STOP:",
        "if False:",
        (
            "tests/followups/consent/test_inbound.py::test_stop_opts_out_everybody_with_the_number_on_that_channel_only",
        ),
    ),
    Mutation(
        "START takes back a bounce",
        "followups/services/consent.py",
        "reason__in=LIFTED_BY.get(door, ())",
        "reason__in=SuppressionReason.values",
        ("tests/followups/consent",),
    ),
    Mutation(
        "a bounce suppresses nothing",
        "followups/services/receipts.py",
        '    reason = event.raw.get("_suppress")\n',
        "    reason = None\n",
        ("tests/followups/test_receipts.py",),
    ),
    Mutation(
        "erasure leaves the phone",
        "jyotiflow/accounts/erasure.py",
        '        phone="",\n',
        "",
        ("tests/followups/test_privacy.py",),
    ),
)
