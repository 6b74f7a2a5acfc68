"""Claims are published in batches; what the broker did not certainly take goes back to the queue's table."""

import json
import time
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import redis
from django.conf import settings as in_force
from django.utils.timezone import now
from pytest_django import Settings

from celery_app import app
from followups.choices import State
from followups.models import FollowUpSchedule
from followups.services.delivery import deliver
from followups.services.dispatch import Claim, claim_due
from followups.services.scheduling import schedule_follow_up
from followups.services.settings import update_settings
from followups.tasks import hand_over
from jyotiflow.accounts.models import User
from tests.faults.proxy import STEP_SECONDS, Mode, Proxy, running_proxy

pytestmark = pytest.mark.django_db(transaction=True)
PREFIX = "handing-over:"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """Between this process and its broker, whose keys get a prefix of their own."""
    place = urlsplit(in_force.REDIS_URL)
    assert place.port
    with running_proxy(to=place.port) as running:
        url = place._replace(netloc=f"127.0.0.1:{running.port}").geturl()
        before = {name: app.conf[name] for name in ("broker_url", "broker_transport_options")}
        options = {**before["broker_transport_options"], "global_keyprefix": PREFIX, "socket_timeout": 1}
        configure(broker_url=url, broker_transport_options=options)
        yield running
        configure(**before)


def configure(**settings: Any) -> None:
    """Change the app's settings, and let it connect anew."""
    app.conf.update(settings)
    app.close()
    vars(app.amqp)["_producer_pool"] = None


@pytest.fixture
def queue(proxy: Proxy) -> Iterator[Any]:
    """Reads the messages in the queue of emails, the oldest first."""
    with redis.Redis.from_url(in_force.REDIS_URL, decode_responses=True) as client:
        client.delete(f"{PREFIX}email")
        yield lambda: [json.loads(text) for text in reversed(client.lrange(f"{PREFIX}email", 0, -1))]
        client.delete(f"{PREFIX}email")


@pytest.fixture
def claims(rich_user: User, make_template: Any) -> list[Claim]:
    """Five emails, due and claimed."""
    update_settings(changes={"min_interval_hours": 0})
    template = make_template(channel="email", credits_cost=0)
    for _ in range(5):
        at = now() + timedelta(seconds=1)
        schedule_follow_up(user=rich_user, template_id=template.pk, scheduled_at=at)
    FollowUpSchedule.objects.update(due_at=now())
    return list(claim_due(limit=5))


def drop(proxy: Proxy) -> None:
    """Cut all connections through it, and let none be made."""
    proxy.mode = Mode.DROP
    time.sleep(4 * STEP_SECONDS)


def arguments(message: Any) -> list[str]:
    """Of the task in a message."""
    found: list[str] = json.loads(b64decode(message["body"]))[0]
    return found


def state_of(claim: Claim) -> str:
    return FollowUpSchedule.objects.get(pk=claim.follow_up_id).status


def test_each_claim_becomes_one_task_on_its_channels_queue(claims: list[Claim], queue: Any) -> None:
    assert hand_over(claims) is True
    assert [arguments(message) for message in queue()] == [
        [str(claim.follow_up_id), str(claim.token)] for claim in claims
    ]
    assert len({message["headers"]["id"] for message in queue()}) == 5


def test_a_prepared_message_is_the_one_celery_writes(
    claims: list[Claim], queue: Any, settings: Settings
) -> None:
    hand_over(claims[:1])
    settings.HINT_BATCH = 0
    hand_over(claims[:1])
    ours, celerys = queue()
    for message in (ours, celerys):
        task_id = message["headers"]["id"]
        assert (message["headers"]["root_id"], message["properties"]["correlation_id"]) == (task_id, task_id)
        for part, names in (
            ("headers", ("id", "root_id", "argsrepr", "kwargsrepr", "__django_structlog__")),
            ("properties", ("correlation_id", "delivery_tag", "reply_to")),
        ):
            for name in names:
                message[part].pop(name, None)
    assert ours == celerys


def test_without_a_broker_all_claims_go_back(claims: list[Claim], queue: Any, proxy: Proxy) -> None:
    drop(proxy)
    assert hand_over(claims) is False
    assert {state_of(claim) for claim in claims} == {State.PENDING}


def test_a_broker_that_swallows_everything_is_given_up_soon(
    claims: list[Claim], queue: Any, proxy: Proxy
) -> None:
    hand_over([])
    proxy.mode = Mode.BLACK_HOLE
    assert hand_over(claims) is False
    assert {state_of(claim) for claim in claims} == {State.PENDING}


def test_what_was_cut_in_the_middle_goes_back_and_its_tasks_do_nothing(
    claims: list[Claim], queue: Any, proxy: Proxy, settings: Settings
) -> None:
    settings.HINT_BATCH = 2
    claims[3] = replace(claims[3], channel="in_app")  # a queue of its own: the second batch is two commands
    hand_over(claims[:1])  # connects
    (first,) = queue()
    size = len(json.dumps(first))
    proxy.cut_after = size * 7 // 2  # between the second batch's commands
    proxy.mode = Mode.CUT
    assert hand_over(claims) is False
    assert [state_of(claim) for claim in claims] == [State.SENDING] * 2 + [State.PENDING] * 3
    doubted = [arguments(message) for message in queue()[3:]]
    assert [follow_up for follow_up, _ in doubted] == [str(claims[2].follow_up_id)]
    for follow_up, token in doubted:
        deliver(follow_up_id=UUID(follow_up), token=UUID(token))
        assert FollowUpSchedule.objects.get(pk=follow_up).tries == 0


@pytest.mark.parametrize("batch", [0, 2, 500])
def test_it_connects_again(
    claims: list[Claim], queue: Any, proxy: Proxy, settings: Settings, batch: int
) -> None:
    settings.HINT_BATCH = batch
    hand_over(claims[:1])
    drop(proxy)
    assert hand_over(claims[1:2]) is False
    proxy.mode = Mode.PASS
    assert hand_over(claims[2:]) is True
    assert len(queue()) == 4
