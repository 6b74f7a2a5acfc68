"""What a user does with their own follow-ups."""

from typing import Any, cast
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.viewsets import ViewSet

from followups.api.once import IDEMPOTENCY_HEADER, answer
from followups.api.serializers import (
    ItemSerializer,
    QuoteSerializer,
    RescheduleRequest,
    ScheduleFilters,
    ScheduleRequest,
)
from followups.choices import PublicStatus
from followups.models import FollowUpSchedule
from followups.selectors.follow_ups import (
    follow_up_of,
    follow_ups_of,
    item_of,
    public_status,
    session_of,
    with_status,
)
from followups.selectors.quotes import Quote, quote
from followups.services.idempotency import Answer
from followups.services.receipts import mark_read
from followups.services.rescheduling import reschedule_follow_up
from followups.services.scheduling import schedule_follow_up, send_now
from followups.services.withdrawing import cancel_follow_up
from jyotiflow.accounts.limits import UserThrottle
from jyotiflow.accounts.models import User
from jyotiflow.api import AwareDateTimeField, action_answer, paginate, read_answer
from jyotiflow.exceptions import NotAllowed
from jyotiflow.schema import PAGE_PARAMETERS, action_schema, answers, read_schema

LIMITED = ("schedule", "send_now", "reschedule")
ITEMS = read_schema("FollowUps", ItemSerializer(many=True), counted=True)
BOOKED = {
    "followup_id": serializers.UUIDField(),
    "credits_charged": serializers.IntegerField(),
    "status": serializers.ChoiceField(PublicStatus.choices),
}


def user_of(request: Request) -> User:
    """The signed-in user; the permission classes saw to it that there is one."""
    return cast(User, request.user)


def valid(serializer: serializers.Serializer[Any]) -> dict[str, Any]:
    """The serializer's clean data. Raises DRF's error naming the fields at fault."""
    serializer.is_valid(raise_exception=True)
    data: dict[str, Any] = serializer.validated_data
    return data


def list_answer(
    request: Request, follow_ups: Any, show: Any = item_of, serializer: Any = ItemSerializer
) -> Response:
    """One page of follow-ups as items."""
    page = paginate(request, follow_ups)
    return read_answer(serializer([show(row) for row in page.rows], many=True).data, page.count)


def booked(message: str, status: int, follow_up: FollowUpSchedule) -> Answer:
    """The answer to a booking; times as every other answer writes them."""
    return Answer(
        status,
        {
            "success": True,
            "message": message,
            "followup_id": str(follow_up.pk),
            "credits_charged": follow_up.credits_charged,
            "scheduled_at": AwareDateTimeField().to_representation(follow_up.scheduled_at),
            "status": public_status(follow_up),
        },
    )


def moved(follow_up: FollowUpSchedule) -> Answer:
    """The answer to a change of time."""
    time = AwareDateTimeField().to_representation(follow_up.scheduled_at)
    return Answer(200, {"success": True, "message": "Your follow-up is moved.", "scheduled_at": time})


def quoted(user: User, offer: Quote) -> dict[str, Any]:
    """A quote as its reader sees it."""
    departure = offer.departure
    return {
        "template_id": offer.template.pk,
        "channel": offer.template.channel,
        "credits_cost": offer.price,
        "credits_available": offer.balance,
        "language": offer.language,
        "subject": offer.subject,
        "message": offer.message,
        "scheduled_at": departure.scheduled_at,
        "goes_at": departure.goes_at,
        "waits_for": departure.waits_for,
        "timezone": user.timezone,
        "local_time": departure.goes_at.astimezone(user.zone).isoformat() if departure.goes_at else None,
        "accepted": not offer.refusals,
        "refusals": offer.refusals,
    }


def wanted_by(request: Request) -> dict[str, Any]:
    """What a booking or its quote asks for. Raises ``NotAllowed`` when it's for somebody else."""
    wanted = valid(ScheduleRequest(data=request.data))
    user = user_of(request)
    email = wanted.pop("user_email", None) or user.email
    if email.casefold() != user.email.casefold():
        raise NotAllowed("You can schedule follow-ups for yourself only.", code="not_your_email")
    return wanted


class FollowUpViewSet(ViewSet):
    """The caller's own follow-ups."""

    def get_throttles(self) -> list[BaseThrottle]:
        return [UserThrottle()] if self.action in LIMITED else []

    @extend_schema(
        operation_id="schedule_followup",
        request=ScheduleRequest,
        parameters=[IDEMPOTENCY_HEADER],
        responses=answers(
            action_schema("Scheduled", scheduled_at=AwareDateTimeField(), **BOOKED),
            400,
            401,
            402,
            403,
            404,
            409,
            429,
            status=201,
        ),
    )
    def schedule(self, request: Request) -> Response:
        """Book a follow-up."""
        user, wanted = user_of(request), wanted_by(request)
        return answer(
            request,
            lambda: booked("Your follow-up is scheduled.", 201, schedule_follow_up(user=user, **wanted)),
        )

    @extend_schema(
        operation_id="quote_followup",
        request=ScheduleRequest,
        responses=answers(read_schema("Quote", QuoteSerializer()), 400, 401, 403, 404),
    )
    def quote(self, request: Request) -> Response:
        """What booking this would cost and say, when it would go, and all that speaks against it."""
        user = user_of(request)
        return read_answer(QuoteSerializer(quoted(user, quote(user=user, **wanted_by(request)))).data)

    @extend_schema(
        request=None,
        parameters=[IDEMPOTENCY_HEADER],
        responses=answers(
            action_schema("Booked", scheduled_at=AwareDateTimeField(), **BOOKED), 400, 401, 402, 404, 409, 429
        ),
    )
    def send_now(self, request: Request, session_id: str, channel: str) -> Response:
        """Send the channel's session follow-up now."""
        user = user_of(request)
        return answer(
            request,
            lambda: booked(
                "Your follow-up is on its way.",
                200,
                send_now(user=user, session_id=session_id, channel=channel),
            ),
        )

    @extend_schema(
        operation_id="my_followups",
        parameters=[ScheduleFilters, *PAGE_PARAMETERS],
        responses=answers(ITEMS, 400, 401),
    )
    def mine(self, request: Request) -> Response:
        """The caller's follow-ups, newest first."""
        filters = valid(ScheduleFilters(data=request.query_params))
        follow_ups = follow_ups_of(user_of(request))
        if filters.get("status"):
            follow_ups = with_status(follow_ups, filters["status"])
        if filters.get("session_id"):
            follow_ups = follow_ups.filter(session_id=filters["session_id"])
        return list_answer(request, follow_ups)

    @extend_schema(
        operation_id="session_followups", parameters=PAGE_PARAMETERS, responses=answers(ITEMS, 400, 401, 404)
    )
    def of_session(self, request: Request, session_id: str) -> Response:
        """The follow-ups of one of the caller's sessions."""
        user = user_of(request)
        return list_answer(request, follow_ups_of(user).filter(session=session_of(user, session_id)))

    @extend_schema(
        operation_id="cancel_followup",
        request=None,
        responses=answers(
            action_schema("Cancelled", credits_refunded=serializers.IntegerField()), 401, 404, 409
        ),
    )
    def cancel(self, request: Request, follow_up_id: UUID) -> Response:
        """Withdraw a follow-up that is still scheduled."""
        follow_up = cancel_follow_up(follow_up_id=follow_up_id, owner=user_of(request))
        return action_answer("Your follow-up is cancelled.", credits_refunded=follow_up.credits_refunded)

    @extend_schema(
        operation_id="reschedule_followup",
        request=RescheduleRequest,
        parameters=[IDEMPOTENCY_HEADER],
        responses=answers(
            action_schema("Rescheduled", scheduled_at=AwareDateTimeField()), 400, 401, 404, 409, 429
        ),
    )
    def reschedule(self, request: Request, follow_up_id: UUID) -> Response:
        """Move a follow-up that is still scheduled; it costs nothing more."""
        user, wanted = user_of(request), valid(RescheduleRequest(data=request.data))
        return answer(
            request, lambda: moved(reschedule_follow_up(follow_up_id=follow_up_id, owner=user, **wanted))
        )

    @extend_schema(
        operation_id="read_followup",
        request=None,
        responses=answers(
            action_schema("Read", status=serializers.ChoiceField(PublicStatus.choices)), 401, 404
        ),
    )
    def read(self, request: Request, follow_up_id: UUID) -> Response:
        """Acknowledge that a message was opened in the app."""
        follow_up = mark_read(follow_up=follow_up_of(user_of(request), follow_up_id))
        return Response({"success": True, "message": "Noted.", "status": public_status(follow_up)})
