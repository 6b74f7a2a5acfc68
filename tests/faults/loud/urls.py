"""The product's pages and two that fail."""

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jyotiflow.accounts.models import User
from jyotiflow.urls import handler400, handler403, handler404, handler500, urlpatterns

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


def _all_about(user: User | AnonymousUser) -> str:
    return " ".join(str(value) for value in vars(user).values())


def page(request: HttpRequest) -> HttpResponse:
    """Fails as a page of the site does."""
    raise RuntimeError(_all_about(User.objects.get(pk=request.GET["id"])))


def suspicious(request: HttpRequest) -> HttpResponse:
    """Refuses as Django refuses what looks like an attack."""
    raise SuspiciousOperation(_all_about(User.objects.get(pk=request.GET["id"])))


class Call(APIView):
    """Fails as a call of the API does."""

    def post(self, request: Request) -> Response:
        raise RuntimeError(f"{_all_about(request.user)} {request.data}")


urlpatterns = [
    path("loud/page", page),
    path("loud/suspicious", suspicious),
    path("api/loud", Call.as_view()),
    *urlpatterns,
]
