"""The channels: paused or not, their provider answering or not; pausing and resuming."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from redis.exceptions import RedisError

from followups.admin.columns import NOTHING, moment_column
from followups.admin.history import HistoryAdmin
from followups.choices import BreakerState
from followups.conf import channel_choices
from followups.models import ChannelSwitch
from followups.selectors.channels import Breaker, breakers
from followups.selectors.queue import Queue, queues
from followups.services.switching import switch_channel
from jyotiflow.accounts.models import User


class SwitchForm(ActionForm):
    reason = forms.CharField(label=_("Reason:"), max_length=200, required=False)


@admin.register(ChannelSwitch)
class ChannelSwitchAdmin(HistoryAdmin):
    list_display = (
        "channel",
        "sends",
        "provider_is",
        "reason",
        "changed_by",
        moment_column("changed_at", _("changed")),
    )
    list_filter = ("is_paused",)
    search_fields = ("channel", "reason")
    list_select_related = ("changed_by",)
    fields = ("channel", "sends", "provider_is", "reason", ("changed_by", "changed_at"))
    readonly_fields = ("sends", "provider_is")
    actions = ("pause", "resume")
    action_form = SwitchForm

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [_provider_column() if name == "provider_is" else name for name in self.list_display]

    def has_switch_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("followups.switch_channel")

    @admin.action(description=_("Pause: nothing more goes out"), permissions=["switch"])
    def pause(self, request: HttpRequest, queryset: QuerySet[ChannelSwitch]) -> None:
        self._switch(request, queryset, is_paused=True)

    @admin.action(description=_("Resume: what waited goes out"), permissions=["switch"])
    def resume(self, request: HttpRequest, queryset: QuerySet[ChannelSwitch]) -> None:
        self._switch(request, queryset, is_paused=False)

    def _switch(self, request: HttpRequest, queryset: QuerySet[ChannelSwitch], *, is_paused: bool) -> None:
        reason = request.POST.get("reason", "").strip()
        for row in queryset.exclude(is_paused=is_paused):
            switch_by_hand(request, row.channel, is_paused=is_paused, reason=reason)

    @admin.display(description=_("sending"), boolean=True, ordering="-is_paused")
    def sends(self, row: ChannelSwitch) -> bool:
        return not row.is_paused

    @admin.display(description=_("provider"))
    def provider_is(self, row: ChannelSwitch) -> str:
        return _in_words(_breakers().get(row.channel))


def switch_by_hand(request: HttpRequest, channel: str, *, is_paused: bool, reason: str) -> None:
    """Pause a channel or let it go on for whoever asks, and tell them. Raises ``NotFound``."""
    actor = request.user if isinstance(request.user, User) else None
    switch = switch_channel(channel=channel, is_paused=is_paused, actor=actor, reason=reason)
    admin.site.get_model_admin(ChannelSwitch).log_change(
        request, switch, [{"changed": {"fields": ["is_paused"]}}]
    )
    done = _("%(channel)s is paused.") if is_paused else _("%(channel)s goes on.")
    messages.success(request, done % {"channel": switch.get_channel_display()})


@dataclass(frozen=True)
class ChannelState:
    """How a channel stands, in words."""

    name: str
    label: str | Promise
    queue: Queue
    switch: ChannelSwitch
    provider: str
    answers: bool


def channel_states() -> list[ChannelState]:
    """Every configured channel: its switch, its provider, its queue. Two queries and a question to Valkey."""
    switches = {row.channel: row for row in ChannelSwitch.objects.select_related("changed_by")}
    alive = _breakers()
    waiting = queues()
    return [
        ChannelState(
            name=name,
            label=label,
            queue=waiting[name],
            switch=switches.get(name) or ChannelSwitch(channel=name),
            provider=_in_words(alive.get(name)),
            answers=name in alive and alive[name].state == BreakerState.CLOSED,
        )
        for name, label in channel_choices()
    ]


def _provider_column() -> Callable[[ChannelSwitch], str]:
    """How the providers do, asked once for all rows of a page."""
    found = cache(_breakers)

    @admin.display(description=_("provider"))
    def provider_is(row: ChannelSwitch) -> str:
        return _in_words(found().get(row.channel))

    return provider_is


def _in_words(breaker: Breaker | None) -> str:
    if breaker is None:
        return NOTHING
    if breaker.state == BreakerState.OPEN:
        return str(_("Does not answer; asked again in %d s") % breaker.seconds)
    return str(breaker.state.label)


def _breakers() -> dict[str, Breaker]:
    try:
        return dict(breakers())
    except RedisError:
        return {}
