"""People: their wishes, the addresses that must not be written to, their devices and inboxes."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import DELETION, LogEntry
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from followups.addresses import hash_address
from followups.admin.columns import NOTHING, link_to, moment_column, short_column
from followups.admin.filters import IsSetFilter
from followups.admin.history import HistoryAdmin, UneditableAdmin
from followups.choices import ConsentDoor, SuppressionReason
from followups.conf import channel_choices
from followups.models import Device, FollowUpSchedule, InAppMessage, RecipientPreference, Suppression
from followups.selectors.recipients import reachability
from followups.services.consent import choose_channels, lift, suppress
from jyotiflow.accounts.searching import PeopleSearchAdmin
from jyotiflow.accounts.selectors import user_by_email

SHOWN_OF_TOKEN = 6


class PreferenceForm(forms.ModelForm):
    channels_off = forms.MultipleChoiceField(
        label=_("Channels switched off"), required=False, widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = RecipientPreference
        fields = ("user", "channels_off", "quiet_start", "quiet_end", "paused_until")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields.get("channels_off")
        if isinstance(field, forms.MultipleChoiceField):
            # An opt-out from a channel that isn't configured now must survive an edit.
            known = dict(channel_choices())
            field.choices = [
                *known.items(),
                *((name, name) for name in self.instance.channels_off if name not in known),
            ]

    def clean(self) -> dict[str, Any]:
        fields = super().clean() or {}
        if (fields.get("quiet_start") is None) != (fields.get("quiet_end") is None):
            self.add_error("quiet_end", _("Give both times of the quiet hours, or none."))
        return fields


class ChannelOffFilter(admin.SimpleListFilter):
    title = _("channel switched off")
    parameter_name = "off"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return channel_choices()

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[RecipientPreference]
    ) -> QuerySet[RecipientPreference]:
        return queryset.filter(channels_off__contains=[self.value()]) if self.value() else queryset


class PausedFilter(IsSetFilter):
    title = _("paused at some time")
    parameter_name = "paused"
    column = "paused_until"


@admin.register(RecipientPreference)
class RecipientPreferenceAdmin(PeopleSearchAdmin):
    form = PreferenceForm
    list_display = (
        "user",
        "switched_off",
        "quiet_start",
        "quiet_end",
        moment_column("paused_until", _("paused until")),
        moment_column("updated_at", _("changed")),
    )
    list_select_related = ("user",)
    list_filter = (ChannelOffFilter, PausedFilter)
    search_fields = ("user__email", "user__name")
    autocomplete_fields = ("user",)
    ordering = ("-pk",)
    fields = ("user", "channels_off", ("quiet_start", "quiet_end"), "paused_until", "updated_at")
    readonly_fields = ("updated_at",)

    def get_readonly_fields(
        self, request: HttpRequest, obj: RecipientPreference | None = None
    ) -> tuple[str, ...]:
        return self.readonly_fields if obj is None else ("user", *self.readonly_fields)

    def save_model(self, request: HttpRequest, obj: RecipientPreference, form: Any, change: bool) -> None:
        wanted = obj.channels_off
        obj.channels_off = form.initial.get("channels_off", []) if change else []
        super().save_model(request, obj, form, change)
        note = f"staff {request.user.pk}"
        actor: Any = request.user  # signed in, else the admin site had not let them in
        choose_channels(user=obj.user, channels_off=wanted, door=ConsentDoor.STAFF, wording=note, actor=actor)
        obj.refresh_from_db()

    @admin.display(description=_("channels switched off"))
    def switched_off(self, preference: RecipientPreference) -> str:
        names = dict(channel_choices())
        return ", ".join(str(names.get(name, name)) for name in preference.channels_off) or NOTHING


class SuppressionForm(forms.ModelForm):
    """Names a person; the address itself is looked up and kept as a hash only."""

    email = forms.EmailField(label=_("User's email"), help_text=_("Whose address on the channel is stopped."))
    reason = forms.ChoiceField(
        label=_("Reason"), choices=SuppressionReason.choices, initial=SuppressionReason.BY_STAFF
    )
    source = forms.CharField(
        label=_("Note"), max_length=100, help_text=_("Who asked for it, and where it is on record.")
    )

    class Meta:
        model = Suppression
        fields = ("channel", "reason", "source")

    def clean(self) -> dict[str, Any]:
        fields = super().clean() or {}
        if "email" in fields and "channel" in fields:
            user = user_by_email(fields["email"])
            if user is None:
                raise ValidationError({"email": _("There is no user with this email.")})
            addresses = reachability(user=user, channel=fields["channel"]).addresses
            if not addresses:
                problem = _("This user has no address on this channel, or it is stopped already.")
                raise ValidationError({"channel": problem})
            fields |= {"user": user, "address": addresses[0]}
        return fields


@admin.register(Suppression)
class SuppressionAdmin(UneditableAdmin):
    list_display = ("id", "channel", "reason", "source", moment_column("created_at", _("since")))
    list_filter = ("channel", "reason", "created_at")
    search_fields = ("source",)
    search_help_text = _("A whole address (email, phone with +, or device token), or a part of the note.")
    ordering = ("-pk",)
    fields = readonly_fields = ("channel", "reason", "source", "address_hash", "created_at")
    delete_confirmation_template = "admin/followups/suppression/delete_confirmation.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("followups.add_suppression")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return (
            super().get_form(request, obj, change, **kwargs)
            if change
            else super().get_form(request, obj, change, form=SuppressionForm, fields=None)
        )

    def get_fields(self, request: HttpRequest, obj: Suppression | None = None) -> tuple[str, ...]:
        return ("email", "channel", "reason", "source") if obj is None else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Suppression | None = None) -> tuple[str, ...]:
        return () if obj is None else self.readonly_fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Suppression], search_term: str
    ) -> tuple[QuerySet[Suppression], bool]:
        if term := search_term.strip():
            queryset = queryset.filter(Q(address_hash=hash_address(term)) | Q(source__icontains=term))
        return queryset, False

    def save_model(self, request: HttpRequest, obj: Suppression, form: Any, change: bool) -> None:
        stopped = form.cleaned_data
        actor: Any = request.user  # signed in, else the admin site had not let them in
        suppress(
            channel=stopped["channel"],
            address_hash=hash_address(stopped["address"]),
            reason=stopped["reason"],
            source=stopped["source"],
            door=ConsentDoor.STAFF,
            wording=f"staff {request.user.pk}",
            actor=actor,
        )
        obj.pk = Suppression.objects.get(
            channel=stopped["channel"], address_hash=hash_address(stopped["address"])
        ).pk
        obj.refresh_from_db()

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        # Writing to somebody again needs a reason each time.
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method == "POST" and not request.POST.get("note", "").strip():
            self.message_user(request, _("Say why this address may be written to again."), messages.ERROR)
            return redirect(request.path)
        context = {**(extra_context or {}), "title": _("Write to this address again?")}
        response: HttpResponse = super().delete_view(request, object_id, context)
        return response

    def delete_model(self, request: HttpRequest, obj: Suppression) -> None:
        actor: Any = request.user  # signed in, else the admin site had not let them in
        lift(
            channel=obj.channel,
            address_hash=obj.address_hash,
            door=ConsentDoor.STAFF,
            wording=f"staff {request.user.pk}",  # the note itself is in the log of the admin site
            actor=actor,
        )

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        actor: Any = request.user  # signed in, else the admin site had not let them in
        return LogEntry.objects.log_actions(
            user_id=actor.pk,
            queryset=queryset,
            action_flag=DELETION,
            change_message=request.POST["note"].strip(),
        )


@admin.register(Device)
class DeviceAdmin(PeopleSearchAdmin, UneditableAdmin):
    list_display = (
        "id",
        "user",
        "platform",
        "masked_token",
        moment_column("created_at", _("registered")),
        moment_column("seen_at", _("seen")),
    )
    list_select_related = ("user",)
    list_filter = ("platform", "seen_at")
    search_fields = ("user__email", "user__name")
    ordering = ("-pk",)
    fields = ("user", "platform", "masked_token", "created_at", "seen_at")
    readonly_fields = ("masked_token",)

    @admin.display(description=_("token"))
    def masked_token(self, device: Device) -> str:
        """Who holds a whole token can push to the phone."""
        return format_html("…{}", device.token[-SHOWN_OF_TOKEN:] if len(device.token) > 20 else "")


@admin.register(InAppMessage)
class InAppMessageAdmin(PeopleSearchAdmin, HistoryAdmin):
    list_display = (
        "id",
        "user",
        short_column("subject", _("subject")),
        "language",
        "follow_up_link",
        moment_column("created_at", _("created")),
    )
    list_select_related = ("user",)
    list_filter = ("created_at",)
    search_fields = ("user__email",)
    ordering = ("-pk",)
    fields = ("user", "follow_up_link", "language", "subject", "body", "created_at")
    readonly_fields = ("follow_up_link",)

    @admin.display(description=_("follow-up"))
    def follow_up_link(self, message: InAppMessage) -> str:
        return link_to(FollowUpSchedule, message.follow_up_id, message.follow_up_id)
