"""Routes below ``/api/``."""

from django.urls import path

from sessions_app.api import SessionsView

urlpatterns = [path("user/sessions", SessionsView.as_view())]
