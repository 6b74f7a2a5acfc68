"""`python -m jyotiflow.local.scratch COMMAND…`: one command on servers of its own, gone afterwards."""

import os
import secrets
import subprocess
import sys

from jyotiflow.local.exceptions import CannotRun
from jyotiflow.local.servers import throwaway_servers


def main(command: list[str]) -> int:
    """Run `command` with the servers' URLs and fresh secrets in its environment; returns its exit status."""
    with throwaway_servers() as servers:
        environment = {
            "SECRET_KEY": secrets.token_urlsafe(50),
            "JWT_SECRET": secrets.token_urlsafe(50),
            **os.environ,
            "ENV_FILES": "off",
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
        }
        return subprocess.run(command, env=environment).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CannotRun as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit(130)
