"""Tests only: named places in the code that break on order (`jyotiflow/failpoints.py`)."""

from jyotiflow.settings.environment import env

TESTING = env.bool("TESTING", default=False)
FAILPOINTS = env.dict("FAILPOINTS", default={})
FAILPOINTS_DIR = env.str("FAILPOINTS_DIR", default="")
