"""Where the settings' values come from."""

import os
from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parent.parent.parent

env = environ.Env()
if os.environ.get("ENV_FILES", "on") != "off":
    # The real environment wins, then `.env` (yours), then what `make run` wrote while it runs.
    for env_file in (BASE_DIR / ".env", BASE_DIR / ".local" / "run.env"):
        if env_file.is_file():
            env.read_env(str(env_file))
