"""Settings. The only readers of the environment; `.env.example` explains every variable."""

from jyotiflow.settings.api import *  # noqa: F403
from jyotiflow.settings.celery import *  # noqa: F403
from jyotiflow.settings.data import *  # noqa: F403
from jyotiflow.settings.followups import *  # noqa: F403
from jyotiflow.settings.logs import *  # noqa: F403
from jyotiflow.settings.site import *  # noqa: F403
from jyotiflow.settings.testing import *  # noqa: F403
