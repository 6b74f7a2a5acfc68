"""Places that break on order: only in tests, only once, only where named."""

from pathlib import Path

import pytest
from django.db import OperationalError, connection
from pytest_django import Settings

from jyotiflow.checks import check_failpoints
from jyotiflow.failpoints import NAMES, FailpointHit, failpoint

ROOT = Path(__file__).parents[2]


@pytest.fixture
def order(settings: Settings, tmp_path: Path) -> Settings:
    settings.FAILPOINTS_DIR = str(tmp_path)
    settings.FAILPOINTS = {"after_gate": "raise"}
    return settings


def test_without_an_order_nothing_happens() -> None:
    for name in NAMES:
        failpoint(name)


def test_an_order_is_carried_out_once_at_its_place(order: Settings) -> None:
    failpoint("after_call")
    with pytest.raises(FailpointHit):
        failpoint("after_gate")
    failpoint("after_gate")
    assert (Path(order.FAILPOINTS_DIR) / "after_gate").exists()


def test_outside_tests_an_order_is_refused_and_does_nothing(order: Settings) -> None:
    order.TESTING = False
    assert [fault.id for fault in check_failpoints(None)] == ["jyotiflow.E006"]
    failpoint("after_gate")


def test_in_production_an_order_is_refused(order: Settings) -> None:
    order.PUBLIC_BASE_URL = "https://followups.jyotiflow.test"
    assert [fault.id for fault in check_failpoints(None)] == ["jyotiflow.E006"]


def test_orders_that_cannot_be_carried_out_are_named(order: Settings) -> None:
    assert check_failpoints(None) == []
    order.FAILPOINTS = {"nowhere": "kill", "after_gate": "dance"}
    order.FAILPOINTS_DIR = ""
    assert [fault.id for fault in check_failpoints(None)] == [
        "jyotiflow.E007",
        "jyotiflow.E007",
        "jyotiflow.E008",
    ]


@pytest.mark.django_db(transaction=True)
def test_a_cut_breaks_the_connection_in_use(order: Settings) -> None:
    order.FAILPOINTS = {"after_gate": "cut"}
    failpoint("after_gate")
    with pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    connection.close()


def test_every_place_stands_in_the_code_once() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "followups").rglob("*.py"))
    assert {name: sources.count(f'failpoint("{name}")') for name in NAMES} == dict.fromkeys(NAMES, 1)
