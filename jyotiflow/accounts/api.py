"""Sign-in and profile over HTTP."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jyotiflow.accounts.authentication import caller
from jyotiflow.accounts.limits import SIGN_IN_THROTTLES, AddressThrottle
from jyotiflow.accounts.models import User
from jyotiflow.accounts.selectors import credits_of
from jyotiflow.accounts.services import refresh, sign_in
from jyotiflow.accounts.tokens import TokenPair
from jyotiflow.api import action_answer, read_answer
from jyotiflow.schema import action_schema, answers, read_schema


class CredentialsSerializer(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=1024, trim_whitespace=False)


class RefreshSerializer(serializers.Serializer[Any]):
    refresh_token = serializers.CharField(max_length=4096)


class TokensSerializer(serializers.Serializer[TokenPair]):
    access_token = serializers.CharField()
    refresh_token = serializers.CharField()


class BalanceField(serializers.IntegerField):
    """The user's credits, read fresh."""

    def get_attribute(self, instance: User) -> int:
        return credits_of(instance)


class SignedInUserSerializer(serializers.ModelSerializer[User]):
    role = serializers.ChoiceField(choices=["user", "admin"], read_only=True)
    credits = BalanceField(read_only=True)

    class Meta:
        model = User
        fields = ["id", "email", "name", "role", "preferred_language", "credits"]
        read_only_fields = fields


class ProfileSerializer(SignedInUserSerializer):
    class Meta(SignedInUserSerializer.Meta):
        fields = ["id", "email", "name", "role", "preferred_language", "timezone", "credits"]
        read_only_fields = fields


class LoginView(APIView):
    authentication_classes = []
    permission_classes = [AllowAny]
    throttle_classes = SIGN_IN_THROTTLES

    @extend_schema(
        operation_id="login",
        tags=["sign-in"],
        request=CredentialsSerializer,
        responses=answers(
            action_schema(
                "Login",
                access_token=serializers.CharField(),
                refresh_token=serializers.CharField(),
                token_type=serializers.ChoiceField(choices=["bearer"]),
                user=SignedInUserSerializer(),
            ),
            400,
            401,
            429,
        ),
    )
    def post(self, request: Request) -> Response:
        """Exchange email and password for tokens."""
        credentials = CredentialsSerializer(data=request.data)
        credentials.is_valid(raise_exception=True)
        signed_in = sign_in(**credentials.validated_data)
        return action_answer(
            "You are signed in.",
            **TokensSerializer(signed_in.tokens).data,
            token_type="bearer",
            user=SignedInUserSerializer(signed_in.user).data,
        )


class RefreshView(APIView):
    authentication_classes = []
    permission_classes = [AllowAny]
    throttle_classes = [AddressThrottle]

    @extend_schema(
        operation_id="refresh",
        tags=["sign-in"],
        request=RefreshSerializer,
        responses=answers(
            action_schema(
                "Refresh", access_token=serializers.CharField(), refresh_token=serializers.CharField()
            ),
            400,
            401,
            429,
        ),
    )
    def post(self, request: Request) -> Response:
        """Exchange a refresh token for fresh tokens; the old one is spent."""
        given = RefreshSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        pair = refresh(**given.validated_data)
        return action_answer("Your sign-in is renewed.", **TokensSerializer(pair).data)


class ProfileView(APIView):
    @extend_schema(
        operation_id="profile",
        tags=["account"],
        responses=answers(
            read_schema("Profile", ProfileSerializer(), beside=ProfileSerializer().fields), 401
        ),
    )
    def get(self, request: Request) -> Response:
        """Who is signed in. The fields stand beside ``data`` too, where older clients read them."""
        profile = ProfileSerializer(caller(request)).data
        return read_answer(profile, **profile)
