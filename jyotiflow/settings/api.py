"""Sign-in and API."""

from datetime import timedelta

from jyotiflow.settings.environment import env

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
    "DEFAULT_SCHEMA_CLASS": "jyotiflow.schema.WholeSchema",
    "EXCEPTION_HANDLER": "jyotiflow.errors.exception_handler",
    "NUM_PROXIES": env.int("NUM_PROXIES", default=0),
    "DEFAULT_THROTTLE_RATES": {
        "login": env.str("LOGIN_RATE", default="20/min"),
        "user": env.str("USER_RATE", default="60/min"),
        "staff": env.str("STAFF_RATE", default="20/min"),
        "machine": env.str("MACHINE_RATE", default="600/min"),
    },
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
CORS_EXPOSE_HEADERS = ["retry-after"]
CORS_URLS_REGEX = r"^/api/"
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
