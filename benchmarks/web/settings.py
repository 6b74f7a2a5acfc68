"""The product's settings, and two routes more."""

from jyotiflow.settings import *  # noqa: F403
from jyotiflow.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "benchmarks.web"]
ROOT_URLCONF = "benchmarks.web.urls"
