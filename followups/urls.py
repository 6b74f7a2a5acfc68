"""Routes of the follow-ups. No trailing slash under /api/: a redirect would lose a POST's body."""

from django.urls import URLPattern, URLResolver, path

from followups import health
from followups.api.admin import AnalyticsViewSet, ScheduleViewSet, SettingsViewSet, TemplateViewSet
from followups.api.devices import DeviceViewSet
from followups.api.direct import NoticeViewSet, TryOutViewSet
from followups.api.follow_ups import FollowUpViewSet
from followups.api.machine import SessionCompleteView
from followups.api.preferences import PreferenceViewSet
from followups.api.privacy import PrivacyViewSet
from followups.receipts.email import email_receipt
from followups.receipts.twilio import twilio_receipt
from followups.receipts.twilio_inbound import twilio_inbound
from followups.web import booking, center, inbox, preferences, privacy
from followups.web.link_preferences import LinkPreferencesView
from followups.web.unsubscribe import ComeBackView, UnsubscribeView

app_name = "followups"
_api = "api/followup/"

urlpatterns: list[URLPattern | URLResolver] = [
    path(f"{_api}schedule", FollowUpViewSet.as_view({"post": "schedule"})),
    path(f"{_api}quote", FollowUpViewSet.as_view({"post": "quote"})),
    path(f"{_api}my-followups", FollowUpViewSet.as_view({"get": "mine"})),
    path(f"{_api}session/<text_id:session_id>", FollowUpViewSet.as_view({"get": "of_session"})),
    path(f"{_api}cancel/<uuid:follow_up_id>", FollowUpViewSet.as_view({"post": "cancel"})),
    path(f"{_api}reschedule/<uuid:follow_up_id>", FollowUpViewSet.as_view({"post": "reschedule"})),
    path(f"{_api}read/<uuid:follow_up_id>", FollowUpViewSet.as_view({"post": "read"})),
    *(
        path(
            f"{_api}{channel}/<text_id:session_id>",
            FollowUpViewSet.as_view({"post": "send_now"}),
            {"channel": channel},
        )
        for channel in ("email", "sms", "whatsapp")
    ),
    path(f"{_api}preferences", PreferenceViewSet.as_view({"get": "read", "put": "write"})),
    path(f"{_api}devices", DeviceViewSet.as_view({"post": "register", "delete": "forget"})),
    path(f"{_api}privacy/export", PrivacyViewSet.as_view({"get": "export"})),
    path(f"{_api}privacy/erase", PrivacyViewSet.as_view({"post": "erase"})),
    path(f"{_api}admin/templates", TemplateViewSet.as_view({"get": "index", "post": "create"})),
    path(
        f"{_api}admin/templates/<uuid:template_id>",
        TemplateViewSet.as_view({"put": "update", "delete": "destroy"}),
    ),
    path(f"{_api}admin/templates/<uuid:template_id>/preview", TryOutViewSet.as_view({"post": "preview"})),
    path(f"{_api}admin/templates/<uuid:template_id>/test", TryOutViewSet.as_view({"post": "test"})),
    path("api/notify/followup", NoticeViewSet.as_view({"post": "send"})),
    path(f"{_api}admin/schedules", ScheduleViewSet.as_view({"get": "index"})),
    path(f"{_api}admin/schedules/<uuid:follow_up_id>/cancel", ScheduleViewSet.as_view({"post": "cancel"})),
    path(f"{_api}admin/schedules/<uuid:follow_up_id>/retry", ScheduleViewSet.as_view({"post": "retry"})),
    path(f"{_api}admin/analytics", AnalyticsViewSet.as_view({"get": "report"})),
    path(f"{_api}admin/settings", SettingsViewSet.as_view({"get": "read", "put": "write"})),
    path(f"{_api}auto/session-complete", SessionCompleteView.as_view()),
    path(f"{_api}receipts/twilio", twilio_receipt),
    path(f"{_api}receipts/twilio/inbound", twilio_inbound),
    path(f"{_api}receipts/email/<slug:esp>", email_receipt),
    path(f"{_api}health/followup", health.readyz),
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    path("followups/", center.center, name="center"),
    path("followups/others", center.of_session, name="others"),
    path("followups/session/<text_id:session_id>", center.of_session, name="session"),
    path("followups/session/<text_id:session_id>/new", booking.new, name="new"),
    path("followups/<uuid:follow_up_id>", center.follow_up, name="follow_up"),
    path("followups/<uuid:follow_up_id>/cancel", center.cancel, name="cancel"),
    path("followups/<uuid:follow_up_id>/reschedule", center.reschedule, name="reschedule"),
    path("followups/inbox", inbox.inbox, name="inbox"),
    path("followups/inbox/<uuid:follow_up_id>", inbox.message, name="message"),
    path("followups/credits", preferences.credits, name="credits"),
    path("followups/preferences", preferences.preferences, name="preferences"),
    path("followups/data", privacy.data, name="data"),
    path("followups/data/export", privacy.export, name="export"),
    path("followups/data/erase", privacy.erase, name="erase"),
    path("followups/goodbye", privacy.goodbye, name="goodbye"),
    path("u/<str:token>", UnsubscribeView.as_view(), name="unsubscribe"),
    path("u/preferences/<str:token>", LinkPreferencesView.as_view(), name="link_preferences"),
    path("u/back/<str:token>", ComeBackView.as_view(), name="come_back"),
]
