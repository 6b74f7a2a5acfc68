"""Follow-ups: the queue's times, the providers' accounts, the channels."""

import os
from typing import Any

from jyotiflow.settings.environment import env
from jyotiflow.settings.site import SECRET_KEY

FOLLOWUP_LEASE_SECONDS = env.int("FOLLOWUP_LEASE_SECONDS", default=90)
FOLLOWUP_SETTLE_DELAY_SECONDS = env.int("FOLLOWUP_SETTLE_DELAY_SECONDS", default=300)
FOLLOWUP_LOOK_INTERVAL_SECONDS = env.int("FOLLOWUP_LOOK_INTERVAL_SECONDS", default=60)
FOLLOWUP_NO_PROOF_HOURS = env.float("FOLLOWUP_NO_PROOF_HOURS", default=24)
FOLLOWUP_POLL_HOURS = env.list("FOLLOWUP_POLL_HOURS", cast=float, default=[1.0, 24.0])
FOLLOWUP_CLAIM_BATCH = env.int("FOLLOWUP_CLAIM_BATCH", default=500)
# What the threads of a worker ask of the database at about the same time goes in one commit.
FOLLOWUP_GROUP_COMMIT = env.bool("FOLLOWUP_GROUP_COMMIT", default=True)
FOLLOWUP_GROUP_WINDOW_SECONDS = env.float("FOLLOWUP_GROUP_WINDOW_SECONDS", default=0.005)
FOLLOWUP_ARCHIVE_AFTER_DAYS = env.int("FOLLOWUP_ARCHIVE_AFTER_DAYS", default=90)
FOLLOWUP_KEEP_EVENTS_DAYS = env.int("FOLLOWUP_KEEP_EVENTS_DAYS", default=400)
FOLLOWUP_KEEP_SANDBOX_DAYS = env.int("FOLLOWUP_KEEP_SANDBOX_DAYS", default=30)
FOLLOWUP_CONNECT_TIMEOUT_SECONDS = 3.05
FOLLOWUP_READ_TIMEOUT_SECONDS = env.float("FOLLOWUP_READ_TIMEOUT_SECONDS", default=30)
# The most messages a second, over all workers; 0: no limit.
FOLLOWUP_PER_SECOND = {
    "email": env.float("EMAIL_PER_SECOND", default=0),
    "sms": env.float("SMS_PER_SECOND", default=0),
    "whatsapp": env.float("WHATSAPP_PER_SECOND", default=0),
    "push": env.float("PUSH_PER_SECOND", default=0),
}
# Off: settings and templates are read from their tables each time.
FOLLOWUP_CATALOGUE_CACHE = env.bool("CATALOGUE_CACHE", default=True)
FOLLOWUP_REPORT_TIME_ZONE = env.str("REPORT_TIME_ZONE", default="UTC")
FOLLOWUP_ADDRESS_SALT = env.str("ADDRESS_HASH_SALT", default=SECRET_KEY)

SMTP_HOST = env.str("SMTP_HOST", default="")
SMTP_PORT = env.int("SMTP_PORT", default=587)
SMTP_USER = env.str("SMTP_USER", default="")
SMTP_PASS = env.str("SMTP_PASS", default="")
SMTP_SECURITY = env.str("SMTP_SECURITY", default={465: "ssl", 587: "starttls"}.get(SMTP_PORT, "none"))
EMAIL_FROM = env.str("EMAIL_FROM", default="JyotiFlow <followups@jyotiflow.test>")
EMAIL_ESP = env.str("EMAIL_ESP", default="")
ANYMAIL = {
    name.removeprefix("ANYMAIL_"): value for name, value in os.environ.items() if name.startswith("ANYMAIL_")
}
DEFAULT_FROM_EMAIL = SERVER_EMAIL = EMAIL_FROM
EMAIL_TIMEOUT = FOLLOWUP_READ_TIMEOUT_SECONDS
if EMAIL_ESP:
    EMAIL_BACKEND = f"anymail.backends.{EMAIL_ESP}.EmailBackend"
else:
    EMAIL_BACKEND = "followups.channels.smtp.PhasedEmailBackend"
    EMAIL_HOST, EMAIL_PORT = SMTP_HOST, SMTP_PORT
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = SMTP_USER, SMTP_PASS
    EMAIL_USE_TLS, EMAIL_USE_SSL = SMTP_SECURITY == "starttls", SMTP_SECURITY == "ssl"

TWILIO_ACCOUNT_SID = env.str("TWILIO_ACCOUNT_SID", default="")
TWILIO_AUTH_TOKEN = env.str("TWILIO_AUTH_TOKEN", default="")
TWILIO_AUTH_TOKEN_PREVIOUS = env.str("TWILIO_AUTH_TOKEN_PREVIOUS", default="")
TWILIO_SMS_NUMBER = env.str("TWILIO_SMS_NUMBER", default="")
TWILIO_WHATSAPP_NUMBER = env.str("TWILIO_WHATSAPP_NUMBER", default="")
TWILIO_API_BASE_URL = env.str("TWILIO_API_BASE_URL", default="").rstrip("/")
FIREBASE_SERVICE_ACCOUNT_KEY_PATH = env.str("FIREBASE_SERVICE_ACCOUNT_KEY_PATH", default="")
FIREBASE_API_BASE_URL = env.str("FIREBASE_API_BASE_URL", default="").rstrip("/")

# Set: SMS to India go by the domestic route, under the DLT rules.
DLT_ENTITY_ID = env.str("DLT_ENTITY_ID", default="")
# Countries SMS are sent to, as ISO codes; empty: all.
SMS_COUNTRIES = [country.strip().upper() for country in env.list("SMS_COUNTRIES", default=[])]

# In production (https) a channel may stay in the sandbox only when it is named here.
SANDBOX_CHANNELS = env.list("SANDBOX_CHANNELS", default=[])


def _sandbox(channel: str) -> dict[str, Any]:
    return {"BACKEND": "followups.channels.sandbox.SandboxChannel", "OPTIONS": {"channel": channel}}


# One entry a channel, as Django's STORAGES: the backend with its options. No credentials: the sandbox.
_twilio = {
    "account_sid": TWILIO_ACCOUNT_SID,
    "auth_token": TWILIO_AUTH_TOKEN,
    "base_url": TWILIO_API_BASE_URL,
}
FOLLOWUP_CHANNELS: dict[str, dict[str, Any]] = {
    "email": {"BACKEND": "followups.channels.email.EmailChannel", "OPTIONS": {"sender": EMAIL_FROM}}
    if SMTP_HOST or EMAIL_ESP
    else _sandbox("email"),
    "sms": {
        "BACKEND": "followups.channels.sms.SmsChannel",
        "OPTIONS": {**_twilio, "sender": TWILIO_SMS_NUMBER},
    }
    if TWILIO_ACCOUNT_SID and TWILIO_SMS_NUMBER
    else _sandbox("sms"),
    "whatsapp": {
        "BACKEND": "followups.channels.whatsapp.WhatsAppChannel",
        "OPTIONS": {**_twilio, "sender": TWILIO_WHATSAPP_NUMBER},
    }
    if TWILIO_ACCOUNT_SID and TWILIO_WHATSAPP_NUMBER
    else _sandbox("whatsapp"),
    "push": {
        "BACKEND": "followups.channels.push.PushChannel",
        "OPTIONS": {"key_path": FIREBASE_SERVICE_ACCOUNT_KEY_PATH, "base_url": FIREBASE_API_BASE_URL},
    }
    if FIREBASE_SERVICE_ACCOUNT_KEY_PATH
    else _sandbox("push"),
    "in_app": {"BACKEND": "followups.channels.in_app.InAppChannel", "OPTIONS": {}},
}
