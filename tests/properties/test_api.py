"""The published schema and the server agree, whatever a client sends and whoever it is."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import schemathesis
from django.core import signals
from django.db import close_old_connections, transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from credits.services import grant
from followups.services.scheduling import schedule_follow_up
from jyotiflow.accounts.models import MachineKey
from jyotiflow.accounts.services import create_machine_key
from jyotiflow.accounts.tokens import issue_pair
from jyotiflow.docs import published_schema
from jyotiflow.wsgi import application
from tests.factories import SessionFactory, UserFactory

pytestmark = pytest.mark.django_db

# Who calls, and the statuses that show that the calls got somewhere.
REACHED = {
    "anonymous": {400, 401},
    "user": {200, 201, 400, 403, 404},
    "admin": {200, 201, 400, 404},
    "machine": {200, 400, 401},
}
AGREEMENTS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# A machine's only call must be met with what exists, valid as a whole, at least once.
EXAMPLES = {"machine": 20}
few = hypothesis_settings(max_examples=5, suppress_health_check=list(HealthCheck), phases=[Phase.generate])


def from_this_machine(environ: dict[str, Any], start_response: Any) -> Any:
    return application({"REMOTE_ADDR": "127.0.0.1", **environ}, start_response)


@pytest.fixture
def server() -> Iterator[Any]:
    """The schema as it's published, bound to the application itself; requests see the test's transaction."""
    for signal in (signals.request_started, signals.request_finished):
        signal.disconnect(close_old_connections)
    unsigned = GenerationConfig(with_security_parameters=False)
    config = SchemathesisConfig(projects=ProjectsConfig(default=ProjectConfig(generation=unsigned)))
    yield schemathesis.openapi.from_wsgi("/api/schema", from_this_machine, config=config)
    for signal in (signals.request_started, signals.request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def world(make_template: Any) -> dict[str, Any]:
    """What a request may name, by the name it goes by, and how each caller signs in."""
    user, admin = UserFactory(), UserFactory(admin=True)
    grant(user=user, amount=1_000, reason="test", key="test")
    session = SessionFactory(user=user, completed=True)
    template = make_template()
    booked = schedule_follow_up(user=user, template_id=template.pk, session_id=session.pk)
    make_template(name="By mail", channel="email")
    _, secret = create_machine_key(name="machine", scope=MachineKey.Scope.SESSIONS_COMPLETE)
    return {
        "names": {
            "user_email": user.email,
            "session_id": session.pk,
            "template_id": str(template.pk),
            "follow_up_id": str(booked.pk),
        },
        "anonymous": {},
        "user": {"Authorization": f"Bearer {issue_pair(user).access_token}"},
        "admin": {"Authorization": f"Bearer {issue_pair(admin).access_token}"},
        "machine": {"X-API-Key": secret},
    }


def name_what_exists(case: Case, names: dict[str, str]) -> None:
    """Puts real ids in place of invented ones, so that requests get past "there is no such"."""
    for part in (case.path_parameters, case.query, case.body):
        if isinstance(part, dict):
            part.update({name: value for name, value in names.items() if name in part})


@pytest.mark.parametrize("caller", REACHED)
def test_every_call_answers_as_the_schema_says(caller: str, server: Any, world: dict[str, Any]) -> None:
    statuses: set[int] = set()
    for operation in (found.ok() for found in server.get_all_operations()):
        has_input = operation.body or any(operation.iter_parameters())
        modes = list(GenerationMode) if has_input else [GenerationMode.POSITIVE]
        cases = st.one_of(*(operation.as_strategy(mode) for mode in modes))

        @hypothesis_settings(few, max_examples=EXAMPLES.get(caller, few.max_examples))
        @given(cases, st.booleans())
        def agree(case: Case, is_real: bool) -> None:
            if is_real:
                name_what_exists(case, world["names"])
            with transaction.atomic():
                answer = case.call(headers=world[caller])
                transaction.set_rollback(True)
            case.validate_response(answer, checks=AGREEMENTS)
            statuses.add(answer.status_code)

        agree()
    assert statuses >= REACHED[caller]


@pytest.mark.parametrize("path", published_schema()["paths"])
def test_a_method_that_is_not_there_is_a_405_that_says_what_is(path: str, world: dict[str, Any]) -> None:
    signed_in = {**world["admin"], **world["machine"]}
    there = {method.upper() for method in published_schema()["paths"][path]}
    example = "00000000-0000-4000-8000-000000000000"
    concrete = "/".join(example if "{" in part else part for part in path.split("/"))
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - there:
        answer = cast(Any, Client().generic(method, concrete, "{}", "application/json", headers=signed_in))
        assert answer.status_code == 405, method
        assert answer.json()["code"] == "method_not_allowed"
        assert set(answer["Allow"].replace(" ", "").split(",")) - {"OPTIONS", "HEAD"} == there
