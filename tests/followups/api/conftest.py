"""Signed-in clients for the follow-ups' API."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from jyotiflow.accounts.models import User


@pytest.fixture
def admin_api(admin: User) -> APIClient:
    """An API client signed in as a superuser."""
    client = APIClient()
    client.force_authenticate(admin)
    return client


@pytest.fixture
def refused() -> Any:
    """Asserts that an answer is the contract's error: status, code, and the field at fault."""

    def check(response: Any, status: int, code: str = "", field: str = "") -> None:
        body = response.json()
        assert response.status_code == status, body
        assert body["success"] is False
        assert body["message"]
        assert not code or body["code"] == code, body
        assert not field or field in body["errors"], body

    return check
