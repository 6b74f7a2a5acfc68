"""The product's settings, with channels and pages that raise."""

from jyotiflow.settings import *  # noqa: F403
from jyotiflow.settings import FOLLOWUP_CHANNELS, INSTALLED_APPS, STORAGES

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.loud"]
ROOT_URLCONF = "tests.faults.loud.urls"
FOLLOWUP_CHANNELS = {
    name: {"BACKEND": "tests.faults.loud.channels.LoudChannel", "OPTIONS": {"real": entry}}
    for name, entry in FOLLOWUP_CHANNELS.items()
}
# Pages name their files as they lie in the tree: nothing is collected for a run of faults.
STORAGES = {
    **STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
