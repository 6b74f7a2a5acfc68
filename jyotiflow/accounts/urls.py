"""Routes below ``/api/``."""

from django.urls import path

from jyotiflow.accounts.api import LoginView, ProfileView, RefreshView

urlpatterns = [
    path("auth/login", LoginView.as_view()),
    path("auth/refresh", RefreshView.as_view()),
    path("user/profile", ProfileView.as_view()),
]
