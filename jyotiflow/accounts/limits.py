"""How often somebody may try to sign in, or act. One count for the API and the pages; none names a person."""

import unicodedata
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.crypto import salted_hmac
from rest_framework.request import Request
from rest_framework.views import APIView

from jyotiflow.errors import too_many_requests
from jyotiflow.throttling import SafeThrottle

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
View = Callable[..., HttpResponseBase]


def account_named(request: Any) -> str:
    """The account a sign-in is about, the same for every spelling that finds it; for API and form alike."""
    given = dict(request.data).get("email") if isinstance(request, Request) else request.POST.get("username")
    # The form normalises, PostgreSQL compares in upper case, where a dotless ı is an I as well.
    return unicodedata.normalize("NFKC", str(given or "")).strip().upper().casefold()


def key(scope: str, *who: object) -> str:
    """Where attempts are counted: keyed by a secret, so the cache tells nobody who tried."""
    text = "\0".join(str(part) for part in who)
    return f"throttle:{scope}:{salted_hmac('throttle', text, algorithm='sha256').hexdigest()}"


class LoginThrottle(SafeThrottle):
    """Guesses at one account from one address."""

    scope = "login"

    def get_cache_key(self, request: Any, view: Any) -> str:
        return key("login", self.get_ident(request), account_named(request))


class AccountThrottle(SafeThrottle):
    """Guesses at one account from many addresses. High: whoever reaches it keeps the owner out meanwhile."""

    rate = "100/min"

    def get_cache_key(self, request: Any, view: Any) -> str:
        return key("account", account_named(request))


class AddressThrottle(SafeThrottle):
    """Guesses at many accounts from one address."""

    rate = "300/min"

    def get_cache_key(self, request: Any, view: Any) -> str:
        return key("address", self.get_ident(request))


class UserThrottle(SafeThrottle):
    """What one user may book or register."""

    scope = "user"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        return key("user", request.user.pk)


class StaffThrottle(SafeThrottle):
    """What one member of staff may write to addresses of their choice."""

    scope = "staff"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        return key("staff", request.user.pk)


class MachineThrottle(SafeThrottle):
    """What one machine key may call."""

    scope = "machine"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        return key("machine", getattr(request.auth, "pk", ""))


SIGN_IN_THROTTLES = [LoginThrottle, AccountThrottle, AddressThrottle]


def limit_sign_in(view: View) -> View:
    """A page that signs in, under the limits of the API's sign-in."""

    @wraps(view)
    def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method not in SAFE_METHODS:
            for throttle in (make() for make in SIGN_IN_THROTTLES):
                if not throttle.allow_request(request, view):
                    return too_many_requests(request, throttle.wait())
        return view(request, *args, **kwargs)

    return limited


def limit_user(view: View) -> View:
    """A page that books, or asks for a password, under the limit of the API's bookings; for the signed in."""
    return _limit(view, UserThrottle)


def limit_staff(view: View) -> View:
    """A page by which staff write to an address, under the limit of the API's messages; for the signed in."""
    return _limit(view, StaffThrottle)


def _limit(view: View, make: type[SafeThrottle]) -> View:
    @wraps(view)
    def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        throttle = make()
        if request.method not in SAFE_METHODS and not throttle.allow_request(request, view):
            return too_many_requests(request, throttle.wait())
        return view(request, *args, **kwargs)

    return limited
