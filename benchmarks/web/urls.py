"""The product's routes after the two of the benchmark."""

from django.urls import include, path

from benchmarks.web.views import NothingView, OneInsertView

handler400 = "jyotiflow.errors.bad_request"
handler403 = "jyotiflow.errors.permission_denied"
handler404 = "jyotiflow.errors.not_found"
handler500 = "jyotiflow.errors.server_error"

urlpatterns = [
    path("bench/nothing", NothingView.as_view()),
    path("bench/one-insert", OneInsertView.as_view()),
    path("", include("jyotiflow.urls")),
]
