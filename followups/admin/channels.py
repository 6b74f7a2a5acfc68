"""The channels: paused or not, their provider answering or not; pausing and resuming."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from redis.exceptions import RedisError

from followups.admin.columns import NOTHING, moment_column
from followups.admin.history import HistoryAdmin
from followups.models import ChannelSwitch
from followups.selectors.channels import Breaker, breakers
from followups.services.switching import switch_channel
from jyotiflow.accounts.models import User


@admin.register(ChannelSwitch)
class ChannelSwitchAdmin(HistoryAdmin):
    list_display = (
        "channel",
        "is_paused",
        "provider_is",
        "reason",
        "changed_by",
        moment_column("changed_at", _("changed")),
    )
    list_filter = ("is_paused",)
    search_fields = ("channel", "reason")
    list_select_related = ("changed_by",)
    fields = ("channel", "is_paused", "provider_is", "reason", ("changed_by", "changed_at"))
    readonly_fields = ("provider_is",)
    actions = ("pause", "resume")

    def has_switch_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("followups.switch_channel")

    @admin.action(description=_("Pause: nothing more goes out"), permissions=["switch"])
    def pause(self, request: HttpRequest, queryset: QuerySet[ChannelSwitch]) -> None:
        self._switch(request, queryset, is_paused=True)

    @admin.action(description=_("Resume: what waited goes out"), permissions=["switch"])
    def resume(self, request: HttpRequest, queryset: QuerySet[ChannelSwitch]) -> None:
        self._switch(request, queryset, is_paused=False)

    def _switch(self, request: HttpRequest, queryset: QuerySet[ChannelSwitch], *, is_paused: bool) -> None:
        actor = request.user if isinstance(request.user, User) else None
        for row in queryset.exclude(is_paused=is_paused):
            switch = switch_channel(channel=row.channel, is_paused=is_paused, actor=actor)
            self.log_change(request, switch, [{"changed": {"fields": ["is_paused"]}}])
            done = _("%(channel)s is paused.") if is_paused else _("%(channel)s goes on.")
            self.message_user(request, done % {"channel": switch.get_channel_display()}, messages.SUCCESS)

    @admin.display(description=_("provider"))
    def provider_is(self, row: ChannelSwitch) -> Any:
        breaker = _breakers().get(row.channel)
        if breaker is None:
            return NOTHING
        wait = f", {breaker.seconds:.0f} s" if breaker.seconds else ""
        return f"{breaker.state.label}{wait}"


def _breakers() -> dict[str, Breaker]:
    try:
        return dict(breakers())
    except RedisError:
        return {}
