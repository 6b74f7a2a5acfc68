"""Routes below ``/api/``."""

from django.urls import path

from credits.api import CreditsView, HistoryView

urlpatterns = [
    path("user/credits", CreditsView.as_view()),
    path("user/credits/history", HistoryView.as_view()),
]
