"""The peer's project: nothing but it. Whatever is not named here is as it ships."""

import os

import environ

env = environ.Env()
SECRET_KEY = "only-for-the-benchmark"
DATABASES = {"default": env.db_url("DATABASE_URL")}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "post_office"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
EMAIL_HOST = "127.0.0.1"
EMAIL_PORT = int(os.environ["SMTP_PORT"])
DEFAULT_FROM_EMAIL = os.environ["EMAIL_FROM"]
POST_OFFICE = {
    "BATCH_SIZE": env.int("POST_OFFICE_BATCH"),
    "THREADS_PER_PROCESS": env.int("POST_OFFICE_THREADS"),
}
