"""Signs other systems in by an API key, and says what a key may do."""

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from jyotiflow.accounts.models import MachineKey
from jyotiflow.accounts.services import record_use
from jyotiflow.exceptions import NotSignedIn


class MachineUser:
    """Stands where a user would: signed in, but nobody, and without any permission."""

    pk = id = None
    is_authenticated = is_active = True
    is_anonymous = is_staff = is_superuser = False

    def __init__(self, key: MachineKey) -> None:
        self.key = key

    def __str__(self) -> str:
        return f"machine {self.key.pk}"

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        return False

    def has_perms(self, perm_list: list[str], obj: Any = None) -> bool:
        return False


class MachineKeyAuthentication(BaseAuthentication):
    """``X-API-Key: <secret>`` or ``Authorization: Api-Key <secret>``."""

    def authenticate(self, request: Request) -> tuple[MachineUser, MachineKey] | None:
        secret = _secret_of(request)
        if not secret:
            return None
        # Found by its hash: what the look-up's time could tell is about the hash, never about the secret.
        key = MachineKey.objects.filter(key_hash=MachineKey.hash(secret), is_active=True).first()
        if key is None:
            raise NotSignedIn("This API key is not valid.", code="api_key_invalid")
        record_use(key=key)
        return MachineUser(key), key

    def authenticate_header(self, request: Request) -> str:
        return "Api-Key"


def HasScope(scope: str) -> type[BasePermission]:
    """The permission class that lets in machine keys with this scope only."""

    class _HasScope(BasePermission):
        message = f"This API key lacks the scope {scope}."

        def has_permission(self, request: Request, view: APIView) -> bool:
            return isinstance(request.auth, MachineKey) and request.auth.scope == scope

    return _HasScope


def _secret_of(request: Request) -> str:
    scheme, _, secret = request.headers.get("Authorization", "").strip().partition(" ")
    own_header = request.headers.get("X-API-Key", "").strip()
    return own_header or (secret.strip() if scheme.lower() == "api-key" else "")
