"""What a local run makes up, and what it leaves to the person who set it."""

import os
import stat
from pathlib import Path

import pytest

from jyotiflow.local.environment import kept_secrets, published, web_port
from jyotiflow.local.exceptions import CannotRun


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_made_once_and_only_their_owner_may_read_them(tmp_path: Path) -> None:
    store = tmp_path / "secrets.env"
    first = kept_secrets(store, {})
    assert kept_secrets(store, {}) == first
    assert set(first) == {"SECRET_KEY", "JWT_SECRET"}
    assert first["SECRET_KEY"] != first["JWT_SECRET"]
    assert min(len(value) for value in first.values()) >= 50
    assert mode_of(store) == 0o600
    assert kept_secrets(tmp_path / "other.env", {}) != first


def test_a_given_secret_is_not_replaced_and_does_not_change_the_kept_ones(tmp_path: Path) -> None:
    store = tmp_path / "secrets.env"
    kept = kept_secrets(store, {})
    assert kept_secrets(store, {"SECRET_KEY": "given"}) == {"JWT_SECRET": kept["JWT_SECRET"]}
    assert kept_secrets(store, {"SECRET_KEY": ""}) == kept


def test_a_store_with_one_secret_missing_keeps_the_other(tmp_path: Path) -> None:
    store = tmp_path / "secrets.env"
    store.write_text("JWT_SECRET=kept\n")
    assert kept_secrets(store, {})["JWT_SECRET"] == "kept"
    assert kept_secrets(store, {})["SECRET_KEY"] == kept_secrets(store, {})["SECRET_KEY"] != ""


def test_the_run_is_published_to_its_owner_and_only_while_it_lasts(tmp_path: Path) -> None:
    env_file = tmp_path / "run.env"
    env_file.write_text("DATABASE_URL=left by a run that was killed\n")
    env_file.chmod(0o644)
    with published(env_file, {"DATABASE_URL": "postgres://here", "SECRET_KEY": "s"}):
        assert env_file.read_text() == "DATABASE_URL=postgres://here\nSECRET_KEY=s\n"
        assert mode_of(env_file) == 0o600
    assert os.listdir(tmp_path) == []


def test_the_port_is_8000_unless_named() -> None:
    assert [web_port({}), web_port({"PORT": ""}), web_port({"PORT": "9000"})] == [8000, 8000, 9000]


@pytest.mark.parametrize("text", ["0", "65536", "-1", "80a", "8 0", "٣", "http"])
def test_what_is_not_a_port_is_refused_by_name(text: str) -> None:
    with pytest.raises(CannotRun, match=f"^PORT={text} is not a port"):
        web_port({"PORT": text})
