"""Writes to accounts: signing in, keys of machines, groups of staff."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.contrib.auth import authenticate
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.timezone import now
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from jyotiflow.accounts.models import MachineKey, User, e164
from jyotiflow.accounts.tokens import ISSUER, REFRESH, TokenPair, issue_pair, read_claims, user_of
from jyotiflow.exceptions import Conflict, InvalidInput, NotSignedIn

USE_NOTED_EVERY = timedelta(minutes=1)

# What each group may do, as "app.codename". Names only: this floor knows nothing of the apps above it.
STAFF_GROUPS: Mapping[str, Sequence[str]] = {
    "Template editors": [
        "followups.add_followuptemplate",
        "followups.change_followuptemplate",
        "followups.delete_followuptemplate",
        "followups.send_test",
        "followups.view_directmessage",
        "followups.view_followuptemplate",
        "followups.view_templateversion",
        "followups.view_sandboxmessage",
    ],
    "Operators": [
        "accounts.view_user",
        "auditing.view_auditentry",
        "django_celery_beat.change_periodictask",
        "django_celery_beat.view_periodictask",
        "followups.add_directmessage",
        "followups.add_followupschedule",
        "followups.add_errorrule",
        "followups.add_suppression",
        "followups.change_errorrule",
        "followups.change_followupschedule",
        "followups.change_followupsetting",
        "followups.delete_suppression",
        "followups.send_test",
        "followups.switch_channel",
        "followups.view_attempt",
        "followups.view_bulkchange",
        "followups.view_bulkitem",
        "followups.view_channelswitch",
        "followups.view_consentevent",
        "followups.view_device",
        "followups.view_directmessage",
        "followups.view_errorrule",
        "followups.view_followupanalytics",
        "followups.view_followupschedule",
        "followups.view_followupsetting",
        "followups.view_followuptemplate",
        "followups.view_inappmessage",
        "followups.view_inboundmessage",
        "followups.view_providerevent",
        "followups.view_recipientpreference",
        "followups.view_sandboxmessage",
        "followups.view_suppression",
        "followups.view_templateversion",
        "sessions_app.change_session",
        "sessions_app.view_session",
    ],
    "Finance": [
        "accounts.view_user",
        "auditing.view_auditentry",
        "credits.add_creditentry",
        "credits.view_creditaccount",
        "credits.view_creditentry",
        "followups.view_followupanalytics",
        "followups.view_followupschedule",
    ],
    "Privacy": [
        "accounts.erase_person",
        "accounts.export_personal_data",
        "accounts.view_user",
        "auditing.view_auditentry",
        "followups.view_erasure",
    ],
    "Exporters": [
        "auditing.export_auditentry",
        "auditing.view_auditentry",
        "credits.export_creditentry",
        "credits.view_creditentry",
        "followups.export_followupschedule",
        "followups.view_followupschedule",
    ],
    "Viewers": [
        "followups.view_followupanalytics",
        "followups.view_followupschedule",
        "followups.view_followupsetting",
        "followups.view_followuptemplate",
        "followups.view_templateversion",
    ],
}


@dataclass(frozen=True)
class SignedIn:
    """A user and the tokens just issued to them."""

    user: User
    tokens: TokenPair


def sign_in(*, email: str, password: str) -> SignedIn:
    """Tokens for the right pair.

    Raises ``NotSignedIn``, the same for an unknown email as for a wrong password.
    """
    # Django hashes the password for an unknown email too, so the time taken tells nothing.
    user = authenticate(username=email, password=password)
    if not isinstance(user, User):
        raise NotSignedIn("The email or the password is wrong.", code="wrong_credentials")
    return SignedIn(user, issue_pair(user))


@transaction.atomic
def refresh(*, refresh_token: str) -> TokenPair:
    """Fresh tokens for a refresh token of ours, which is spent: of parallel calls exactly one succeeds.

    Raises ``NotSignedIn``.
    """
    claims = read_claims(refresh_token, REFRESH)
    if claims.get("iss") != ISSUER:  # the platform renews its own tokens
        raise _spent()
    user = user_of(claims)
    expires_at = datetime.fromtimestamp(claims["exp"], UTC)
    # Recorded only now that it is spent, and by its id: a usable token never lies in the database.
    token, _ = OutstandingToken.objects.get_or_create(
        jti=claims["jti"], defaults={"user": user, "token": "", "expires_at": expires_at}
    )
    # The unique row is what parallel calls race for.
    _, is_first = BlacklistedToken.objects.get_or_create(token=token)
    if not is_first:
        raise _spent()
    return issue_pair(user)


def update_profile(*, user: User, changes: Mapping[str, str]) -> User:
    """Change how a person is addressed: ``preferred_language``, ``timezone``, ``phone``; answers them locked.

    A phone is stored in E.164 form; empty takes it away. Must run in a transaction. Raises ``InvalidInput``
    naming each bad field, ``NotSignedIn`` for an account that was closed meanwhile.
    """
    person = User.objects.select_for_update(no_key=True).filter(pk=user.pk, is_active=True).first()
    if person is None:
        raise NotSignedIn
    for name, value in changes.items():
        setattr(person, name, e164(value) if name == "phone" else value)
    try:
        person.clean_fields(exclude={field.name for field in User._meta.fields} - changes.keys())
    except ValidationError as error:
        raise InvalidInput("These wishes can't be kept as they are.", errors=error.message_dict) from None
    person.save(update_fields=list(changes))
    return person


def create_machine_key(*, name: str, scope: str) -> tuple[MachineKey, str]:
    """A new key and its secret, which can't be read again. Raises ``Conflict`` for a name that is taken."""
    secret = f"jf_{secrets.token_urlsafe(32)}"
    key, created = MachineKey.objects.get_or_create(
        name=name, defaults={"scope": MachineKey.Scope(scope), "key_hash": MachineKey.hash(secret)}
    )
    if not created:
        raise Conflict("A machine key with this name exists already.", code="name_taken")
    return key, secret


def record_use(*, key: MachineKey) -> None:
    """Note that a key was used now; at most one write a minute, so a busy machine doesn't hammer one row."""
    if key.last_used_at and now() - key.last_used_at < USE_NOTED_EVERY:
        return
    minute_ago = Q(last_used_at__lt=Now() - USE_NOTED_EVERY)
    MachineKey.objects.filter(minute_ago | Q(last_used_at=None), pk=key.pk).update(last_used_at=Now())


@transaction.atomic
def ensure_staff_groups() -> list[Group]:
    """Create the groups of ``STAFF_GROUPS`` and give each what it lacks; what an admin added stays.

    Raises ``LookupError`` for a permission that does not exist.
    """
    known = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.select_related("content_type")
    }
    groups = []
    for name, codenames in STAFF_GROUPS.items():
        missing = [codename for codename in codenames if codename not in known]
        if missing:
            raise LookupError(f"no such permission: {', '.join(missing)}")
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.add(*(known[codename] for codename in codenames))
        groups.append(group)
    return groups


def _spent() -> NotSignedIn:
    return NotSignedIn(
        "This refresh token was used already or is not ours. Sign in again.", code="token_invalid"
    )
