"""A person's own data: to take along, and to have erased."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from followups.api.follow_ups import user_of, valid
from followups.api.serializers import StrictSerializer
from followups.selectors.privacy import export_personal_data
from followups.services.privacy import check_it_is_them, erase_person
from jyotiflow.accounts.authentication import is_platform_sign_in
from jyotiflow.accounts.limits import UserThrottle
from jyotiflow.api import action_answer, read_answer
from jyotiflow.schema import action_schema, answers, read_schema


class ErasureRequest(StrictSerializer):
    """The proof that the person themselves asks."""

    password = serializers.CharField(
        required=False,
        default="",
        max_length=1024,
        trim_whitespace=False,
        help_text="Your password; for who signs in here.",
    )
    confirm = serializers.CharField(
        required=False,
        default="",
        max_length=254,
        help_text="Your email address; for who signs in through the platform.",
    )


class PrivacyViewSet(ViewSet):
    """What is kept about the caller. Limited: an erasure asks for the password, which could be guessed."""

    throttle_classes = [UserThrottle]

    @extend_schema(
        operation_id="export_personal_data",
        tags=["account"],
        responses=answers(read_schema("PersonalData", serializers.DictField()), 401, 429),
    )
    def export(self, request: Request) -> Response:
        """Everything that is kept about the caller: profile, sessions, messages, credits, devices, wishes."""
        return read_answer(export_personal_data(user_of(request)))

    @extend_schema(
        operation_id="erase_person",
        tags=["account"],
        request=ErasureRequest,
        responses=answers(
            action_schema(
                "Erased",
                followups_cancelled=serializers.IntegerField(),
                credits_refunded=serializers.IntegerField(),
                finished=serializers.BooleanField(
                    help_text="False while a message is on its way; what is left of it goes by itself."
                ),
            ),
            400,
            401,
            403,
            409,
            429,
        ),
    )
    def erase(self, request: Request) -> Response:
        """Erase the caller, for good: what waits is cancelled, the account is closed, the sign-in ends."""
        proof = valid(ErasureRequest(data=request.data))
        user = user_of(request)
        check_it_is_them(user=user, signed_in_by_platform=is_platform_sign_in(request), **proof)
        report = erase_person(user=user, actor=user)
        return action_answer(
            "Your account is closed and your data is erased.",
            followups_cancelled=report.cancelled,
            credits_refunded=report.credits_refunded,
            finished=report.is_finished,
        )
