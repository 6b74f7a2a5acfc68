"""App configuration."""

from django.apps import AppConfig

from jyotiflow import checks  # noqa: F401 - importing registers them


class AccountsConfig(AppConfig):
    name = "jyotiflow.accounts"
    label = "accounts"
    verbose_name = "Accounts"
