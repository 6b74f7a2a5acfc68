"""Settings. The only reader of the environment; `.env.example` explains every variable."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
import structlog

from jyotiflow.logs import without_values

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
if os.environ.get("ENV_FILES", "on") != "off":
    # The real environment wins, then `.env` (yours), then what `make run` wrote while it runs.
    for env_file in (BASE_DIR / ".env", BASE_DIR / ".local" / "run.env"):
        if env_file.is_file():
            env.read_env(str(env_file))

# --- Django -------------------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="")
PUBLIC_BASE_URL = env.str("PUBLIC_BASE_URL", default="http://localhost:8000").rstrip("/")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
SECURE_COOKIES = PUBLIC_BASE_URL.startswith("https://")

INSTALLED_APPS = [
    "jyotiflow.accounts",
    "credits",
    "sessions_app",
    "followups",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "anymail",
    "corsheaders",
    "django_celery_beat",
    "django_filters",
    "django_structlog",
    "drf_spectacular",
    "pgtrigger",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
]
MIDDLEWARE = [
    "jyotiflow.middleware.RefuseNulCharacters",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "jyotiflow.middleware.RequestLog",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "jyotiflow.urls"
WSGI_APPLICATION = "jyotiflow.wsgi.application"
APPEND_SLASH = False  # a redirect would lose a POST body; the admin's own catch-all adds its slashes
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{rule}Validator"}
    for rule in ("UserAttributeSimilarity", "MinimumLength", "CommonPassword", "NumericPassword")
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/followups/"
LOGOUT_REDIRECT_URL = "login"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / ".local" / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# --- Data: PostgreSQL is the queue, Redis/Valkey only carries hints and caches ---------------------------
DATABASES = {"default": env.db_url("DATABASE_URL", default="postgres://localhost:5432/jyotiflow")}
DATABASES["default"].setdefault("OPTIONS", {}).update(
    # Celery closes Django's connection around every task; with a pool that hands it back instead.
    pool={"min_size": 1, "max_size": env.int("DATABASE_POOL_SIZE", default=20), "timeout": 10},
    connect_timeout=5,
)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True  # a restarted server must not fail the next request
REDIS_URL = env.str("REDIS_URL", default="redis://localhost:6379/0")
# Read by the checks: production must name its servers.
UNNAMED_SERVERS = [name for name in ("DATABASE_URL", "REDIS_URL") if name not in os.environ]
REDIS_TIMEOUT_SECONDS = 0.5  # a cache or throttle look-up must not hold a request longer
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "jyotiflow",
        "OPTIONS": {
            "socket_connect_timeout": REDIS_TIMEOUT_SECONDS,
            "socket_timeout": REDIS_TIMEOUT_SECONDS,
        },
    }
}

# --- Sign-in and API ------------------------------------------------------------------------------------
JWT_SECRET = env.str("JWT_SECRET", default="")
SIMPLE_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": JWT_SECRET,
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.int("ACCESS_TOKEN_MINUTES", default=30)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.int("REFRESH_TOKEN_DAYS", default=14)),
    "TOKEN_TYPE_CLAIM": "typ",
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "jyotiflow.accounts.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["jyotiflow.body.BoundedJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "jyotiflow.api.AlwaysJSON",
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS is for CORS alone, which answers before any view
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "jyotiflow.errors.exception_handler",
    "NUM_PROXIES": env.int("NUM_PROXIES", default=0),
    "DEFAULT_THROTTLE_RATES": {"login": env.str("LOGIN_RATE", default="20/min")},
}
SPECTACULAR_SETTINGS = {
    "TITLE": "JyotiFlow Follow-ups",
    "DESCRIPTION": "Follow-up messages after guidance sessions: plan, charge, send, track, refund.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SCHEMA_PATH_PREFIX": "/api",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "jyotiflow.schema.document_refusals",
    ],
    "ENUM_NAME_OVERRIDES": {
        "PublicStatusEnum": "followups.choices.PublicStatus",
        "StateEnum": "followups.choices.State",
        "SessionStatusEnum": "sessions_app.models.Session.Status",
        "LanguageEnum": "jyotiflow.accounts.models.Language",
    },
}
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_ALLOW_CREDENTIALS = True
CORS_ALLOW_HEADERS = ["accept", "authorization", "content-type", "idempotency-key", "x-csrftoken"]
CORS_URLS_REGEX = r"^/api/"
CSRF_FAILURE_VIEW = "jyotiflow.errors.csrf_failure"
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[PUBLIC_BASE_URL])
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = SECURE_COOKIES
SECURE_HSTS_SECONDS = 31_536_000 if SECURE_COOKIES else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE_COOKIES
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$"]  # probes speak plain HTTP inside the network
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if REST_FRAMEWORK["NUM_PROXIES"] else None  # only a proxy may say it
)

# --- Celery: tasks are hints; a lost or doubled one is harmless --------------------------------------------
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "global_keyprefix": env.str("CELERY_KEY_PREFIX", default="jyotiflow:"),
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker outlives any outage of the broker
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False  # redelivery is the database's job: leases, not acknowledgements
CELERY_TASK_PUBLISH_RETRY = False  # what can't be published goes back to the queue's table at once
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_WORKER_PREFETCH_MULTIPLIER = 4
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
DJANGO_CELERY_BEAT_TZ_AWARE = True


def _every(seconds: float, task: str) -> dict[str, Any]:
    # An expired tick is dropped by the worker, so ticks don't pile up while no worker runs.
    return {"task": task, "schedule": seconds, "options": {"expires": 900, "queue": "default"}}


# The cadence is the code's; the admin keeps the on/off switch of each entry.
CELERY_BEAT_SCHEDULE = {
    "dispatch due follow-ups": _every(1, "followups.tasks.dispatch_due"),
    "rescue expired leases": _every(15, "followups.tasks.rescue_expired"),
    "resolve follow-ups in doubt": _every(60, "followups.tasks.reconcile"),
    "apply waiting receipts": _every(30, "followups.tasks.apply_waiting_receipts"),
    "play sandbox receipts": _every(1, "followups.tasks.play_sandbox_receipts"),
    "plan missed sessions": _every(60, "followups.tasks.plan_missed_sessions"),
    "cancel overdue follow-ups": _every(300, "followups.tasks.cancel_overdue"),
    "roll up analytics": _every(10, "followups.tasks.roll_up_analytics"),
    "pulse": _every(5, "followups.tasks.pulse"),
}

# --- Follow-ups --------------------------------------------------------------------------------------------
FOLLOWUP_LEASE_SECONDS = env.int("FOLLOWUP_LEASE_SECONDS", default=90)
FOLLOWUP_SETTLE_DELAY_SECONDS = env.int("FOLLOWUP_SETTLE_DELAY_SECONDS", default=300)
FOLLOWUP_CLAIM_BATCH = env.int("FOLLOWUP_CLAIM_BATCH", default=500)
FOLLOWUP_CONNECT_TIMEOUT_SECONDS = 3.05
FOLLOWUP_READ_TIMEOUT_SECONDS = env.float("FOLLOWUP_READ_TIMEOUT_SECONDS", default=30)
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

# --- Logs: one JSON line each, ids only ---------------------------------------------------------------------
_shared_processors: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _shared_processors,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                without_values,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        # These print addresses, bodies or tokens at their chattier levels.
        **{
            name: {"level": "WARNING"}
            for name in ("twilio", "urllib3", "google", "firebase_admin", "httpx", "kombu", "amqp")
        },
        "celery.worker.strategy": {"level": "WARNING"},  # a line per received task: +16 % CPU a task
        "celery.app.trace": {"level": "CRITICAL"},  # prints exceptions, values and all; see jyotiflow.logs
        "django_structlog.celery.receivers": {"level": "CRITICAL"},  # its ids are in every other line
        "django_celery_beat": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
    },
}
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_shared_processors,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False
