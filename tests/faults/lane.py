"""`… lane '{"database": …}' MODULE ARGUMENTS…`: one of the product's commands with its own few settings.

The fork server has loaded the settings already, so what a lane of a scenario has for itself is put over them:
its database, its own Redis database, its public address, the places where its processes break.
"""

import json
import runpy
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from django.conf import settings
from django.db import connections

from celery_app import app


@dataclass(frozen=True)
class Lane:
    """What one lane has for itself."""

    database: str
    redis_url: str
    public_url: str
    failpoints: Mapping[str, str] = field(default_factory=dict)
    failpoints_dir: str = ""

    def command(self, *command: str) -> list[str]:
        """The command that runs another in this lane."""
        return ["tests.faults.lane", json.dumps(asdict(self)), *command]

    def enter(self) -> None:
        """Make it this process's; before any connection is opened."""
        use_database(self.database)
        settings.REDIS_URL = settings.CELERY_BROKER_URL = self.redis_url
        app.conf.update(broker_url=self.redis_url)
        settings.CACHES["default"]["LOCATION"] = self.redis_url
        settings.PUBLIC_BASE_URL = self.public_url
        settings.FAILPOINTS = dict(self.failpoints)
        settings.FAILPOINTS_DIR = self.failpoints_dir


def use_database(name: str) -> None:
    """Turn this process's next connections to another database of the server."""
    connections.close_all()
    wrapper: Any = connections["default"]
    wrapper.close_pool()
    connections.settings["default"]["NAME"] = name
    wrapper.settings_dict["NAME"] = name


if __name__ == "__main__":
    Lane(**json.loads(sys.argv[1])).enter()
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
