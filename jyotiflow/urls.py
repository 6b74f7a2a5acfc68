"""Routes. Nothing below ``/api`` ends in a slash: a redirect would lose a POST body."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from jyotiflow.accounts.limits import limit_sign_in
from jyotiflow.docs import SchemaView, docs_page
from jyotiflow.errors import api_not_found
from jyotiflow.languages import choose_language

handler400 = "jyotiflow.errors.bad_request"
handler403 = "jyotiflow.errors.permission_denied"
handler404 = "jyotiflow.errors.not_found"
handler500 = "jyotiflow.errors.server_error"

urlpatterns = [
    path("", RedirectView.as_view(url="/followups/")),
    path("favicon.ico", RedirectView.as_view(url="/static/followups/favicon.svg")),
    path("language/<slug:language>", choose_language, name="language"),
    path("accounts/login", limit_sign_in(LoginView.as_view(redirect_authenticated_user=True)), name="login"),
    path("accounts/logout", LogoutView.as_view(), name="logout"),
    path("admin/login/", limit_sign_in(admin.site.login)),  # before the site's own at the same address
    path("admin/", admin.site.urls),
    path("api/", include("jyotiflow.accounts.urls")),
    path("api/", include("credits.urls")),
    path("api/", include("sessions_app.urls")),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", docs_page, name="docs"),
    path("", include("followups.urls")),
    # Last: an unknown path is a 404 in JSON, in DEBUG too.
    re_path(r"^api(?:/(?P<path>.*))?$", api_not_found),
]
