"""The phones and browsers that take a user's pushes."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from followups.api.follow_ups import user_of, valid
from followups.api.serializers import DeviceRequest, DeviceTokenRequest
from followups.services.consent import forget_device, register_device
from jyotiflow.accounts.limits import UserThrottle
from jyotiflow.api import action_answer
from jyotiflow.exceptions import NotFound
from jyotiflow.schema import action_schema, answers


class DeviceViewSet(ViewSet):
    """Push tokens."""

    throttle_classes = [UserThrottle]

    @extend_schema(
        operation_id="register_device",
        request=DeviceRequest,
        responses=answers(action_schema("DeviceRegistered"), 400, 401, 429, status=201),
    )
    def register(self, request: Request) -> Response:
        """Register a push token for the caller."""
        register_device(user=user_of(request), **valid(DeviceRequest(data=request.data)))
        return action_answer("This device takes your messages now.", status=201)

    @extend_schema(
        operation_id="forget_device",
        request=DeviceTokenRequest,
        responses=answers(action_schema("DeviceForgotten"), 400, 401, 404, 429),
    )
    def forget(self, request: Request) -> Response:
        """Forget a push token of the caller."""
        token = valid(DeviceTokenRequest(data=request.data))["token"]
        if not forget_device(user=user_of(request), token=token):
            raise NotFound("This device isn't registered.")
        return action_answer("This device takes no more messages.")
