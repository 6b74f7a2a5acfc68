"""Health pages and metrics, for balancers, operators and scrapers."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.utils.timezone import now
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry
from redis.exceptions import RedisError

from followups.choices import BreakerState, RuleOrigin, State
from followups.models import ChannelSwitch, ErrorRule, FollowUpSchedule, ProviderEvent
from followups.selectors.channels import breakers
from followups.selectors.queue import queues, together
from jyotiflow.errors import error_body, only
from jyotiflow.health import check_health


@only("GET", "HEAD")
def livez(request: HttpRequest) -> JsonResponse:
    """This process answers."""
    return JsonResponse({"status": "healthy", "message": "The web process answers.", "checks": {}})


@only("GET", "HEAD")
def readyz(request: HttpRequest) -> JsonResponse:
    """Database, Redis, worker and beat are up: 200, else 503."""
    health = check_health()
    return JsonResponse(
        {
            "status": "healthy" if health.is_healthy else "unhealthy",
            "message": "Everything is running."
            if health.is_healthy
            else "Something is not running; see checks.",
            "checks": health.checks,
        },
        status=200 if health.is_healthy else 503,
    )


@only("GET", "HEAD")
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus metrics for staff, and for a scraper that bears METRICS_TOKEN."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    is_scraper = bool(settings.METRICS_TOKEN) and constant_time_compare(token, settings.METRICS_TOKEN)
    if not (is_scraper or (request.user.is_authenticated and request.user.is_staff)):
        return JsonResponse(error_body("Metrics are for staff and scrapers.", "not_allowed"), status=403)
    registry = CollectorRegistry()
    registry.register(QueueCollector())
    registry.register(ErrorCodeCollector())
    registry.register(ReceiptCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class QueueCollector(Collector):
    """What waits, is under way or in doubt, by channel."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        open_ones = GaugeMetricFamily(
            "followups_open",
            "Follow-ups that are not finished, up to 10,000 of each.",
            labels=["channel", "state"],
        )
        found = queues()
        for channel, queue in found.items():
            counts = {
                State.PENDING: queue.pending,
                State.SENDING: queue.under_way,
                State.IN_DOUBT: queue.in_doubt,
            }
            for state, count in counts.items():
                if count:
                    open_ones.add_metric([channel, state], count)
        yield open_ones
        paused = GaugeMetricFamily("followups_channel_paused", "1: staff have paused it.", labels=["channel"])
        switched_off = set(ChannelSwitch.objects.filter(is_paused=True).values_list("channel", flat=True))
        for channel in settings.FOLLOWUP_CHANNELS:
            paused.add_metric([channel], int(channel in switched_off))
        yield paused
        open_breakers = GaugeMetricFamily(
            "followups_breaker_open", "1: its provider doesn't answer.", labels=["channel"]
        )
        with suppress(RedisError):  # unknown: no figure
            for channel, breaker in breakers().items():
                open_breakers.add_metric([channel], int(breaker.state != BreakerState.CLOSED))
        yield open_breakers
        oldest = together(list(found.values())).oldest_due_at
        yield GaugeMetricFamily(
            "followups_oldest_due_seconds",
            "How long the oldest due follow-up has been waiting.",
            value=max(0.0, (now() - oldest).total_seconds()) if oldest else 0.0,
        )


class ErrorCodeCollector(Collector):
    """Errors whose meaning nobody has told us yet, by provider: classify them in the admin."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        codes = GaugeMetricFamily(
            "followups_unknown_error_codes", "Error codes nobody has classified.", labels=["provider"]
        )
        times = GaugeMetricFamily(
            "followups_unknown_errors", "How often those codes were met.", labels=["provider"]
        )
        seen = ErrorRule.objects.filter(origin=RuleOrigin.SEEN).values_list("provider")
        for provider, count, met in seen.annotate(Count("pk"), Sum("seen_count")).order_by("provider"):
            codes.add_metric([provider], count)
            times.add_metric([provider], met)
        yield codes
        yield times


class ReceiptCollector(Collector):
    """Reports that found no message, and those that contradict a refund; counted in small indexes."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        waiting = ProviderEvent.objects.filter(applied_at__isnull=True, unmatched_at__isnull=True)
        yield GaugeMetricFamily(
            "followups_receipts_waiting", "Reports that have found no message yet.", value=waiting.count()
        )
        unmatched = GaugeMetricFamily(
            "followups_receipts_unmatched",
            "Reports given up in the last 24 hours: they are about no message of ours.",
            labels=["provider"],
        )
        given_up = ProviderEvent.objects.filter(unmatched_at__gte=now() - timedelta(hours=24))
        for provider, count in given_up.values_list("provider").annotate(Count("pk")).order_by("provider"):
            unmatched.add_metric([provider], count)
        yield unmatched
        late = GaugeMetricFamily(
            "followups_delivered_after_refund",
            "Messages delivered after all, with the refund given before.",
            labels=["channel"],
        )
        delivered = FollowUpSchedule.objects.filter(
            status__in=[State.DELIVERED, State.READ], refunded_at__isnull=False
        )
        by_channel = delivered.values_list("channel").annotate(number=Count("*"))
        for channel, count in by_channel.order_by("channel"):
            late.add_metric([channel], count)
        yield late
