"""People in the admin site: wishes, stopped addresses, devices."""

from datetime import time
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from pytest_django import Settings

from followups.addresses import hash_address
from followups.models import ConsentEvent, Device, RecipientPreference, Suppression
from followups.selectors.recipients import reachability
from followups.services.consent import opt_out, register_device
from jyotiflow.accounts.models import User

pytestmark = pytest.mark.django_db

PREFERENCES = "/admin/followups/recipientpreference/"
SUPPRESSIONS = "/admin/followups/suppression/"
DEVICES = "/admin/followups/device/"


def stop(client: Client, **fields: str) -> Any:
    form = {"channel": "email", "reason": "complaint", "source": "Letter of 3 May", **fields}
    return client.post(f"{SUPPRESSIONS}add/", form, follow=True)


def test_a_wish_is_recorded_for_a_person(admin_site: Client, user: User) -> None:
    form = {"user": user.pk, "channels_off": ["sms", "push"], "quiet_start": "20:00", "quiet_end": "09:00"}
    answer = admin_site.post(f"{PREFERENCES}add/", form)
    assert answer.status_code == 302, answer.context["errors"]
    preference = RecipientPreference.objects.get()
    assert (preference.user, preference.channels_off) == (user, ["sms", "push"])
    assert preference.quiet_start == time(20)


def test_half_a_pair_of_quiet_hours_is_refused(admin_site: Client, user: User) -> None:
    answer = admin_site.post(f"{PREFERENCES}add/", {"user": user.pk, "quiet_start": "20:00"})
    assert answer.context["adminform"].form.errors["quiet_end"] == [
        "Give both times of the quiet hours, or none."
    ]
    assert not RecipientPreference.objects.exists()


def test_an_opt_out_of_a_channel_now_missing_survives_an_edit(
    admin_site: Client, user: User, settings: Settings
) -> None:
    opt_out(user=user, channel="sms")
    settings.FOLLOWUP_CHANNELS = {
        name: entry for name, entry in settings.FOLLOWUP_CHANNELS.items() if name != "sms"
    }
    preference = RecipientPreference.objects.get()
    path = f"{PREFERENCES}{preference.pk}/change/"
    assert 'value="sms"' in admin_site.get(path).content.decode()
    assert admin_site.post(path, {"channels_off": ["sms", "email"]}).status_code == 302
    preference.refresh_from_db()
    assert preference.channels_off == ["sms", "email"]


def test_whose_preferences_they_are_does_not_change(admin_site: Client, user: User, admin: User) -> None:
    opt_out(user=user, channel="sms")
    preference = RecipientPreference.objects.get()
    admin_site.post(f"{PREFERENCES}{preference.pk}/change/", {"user": admin.pk, "channels_off": []})
    preference.refresh_from_db()
    assert (preference.user, preference.channels_off) == (user, [])


def test_preferences_are_filtered_by_channel_off(admin_site: Client, user: User) -> None:
    opt_out(user=user, channel="sms")
    for channel, count in (("sms", 1), ("email", 0)):
        found = admin_site.get(PREFERENCES, {"off": channel}).context["cl"].result_list
        assert len(found) == count


def test_an_address_is_stopped_with_a_note_and_kept_as_a_hash(admin_site: Client, user: User) -> None:
    answer = stop(admin_site, email=user.email.upper())
    suppression = Suppression.objects.get()
    assert (suppression.address_hash, suppression.source) == (hash_address(user.email), "Letter of 3 May")
    assert reachability(user=user, channel="email").is_suppressed
    assert user.email not in answer.content.decode()


@pytest.mark.parametrize(
    ("fields", "at", "says"),
    [
        ({"email": "nobody@nowhere.test"}, "email", "no user with this email"),
        ({"channel": "push"}, "channel", "no address on this channel"),
        ({"source": ""}, "source", "required"),
        ({"reason": "whim"}, "reason", "not one of the available choices"),
    ],
)
def test_what_can_t_be_stopped_is_told_at_its_field(
    admin_site: Client, user: User, fields: dict[str, str], at: str, says: str
) -> None:
    answer = stop(admin_site, **{"email": user.email, **fields})
    assert says in answer.context["adminform"].form.errors[at][0]
    assert not Suppression.objects.exists()


def test_an_address_is_stopped_once(admin_site: Client, user: User) -> None:
    stop(admin_site, email=user.email)
    answer = stop(admin_site, email=user.email)
    assert "stopped already" in answer.context["adminform"].form.errors["channel"][0]
    assert Suppression.objects.count() == 1


def test_writing_to_an_address_again_needs_a_reason(admin_site: Client, admin: User, user: User) -> None:
    stop(admin_site, email=user.email)
    path = f"{SUPPRESSIONS}{Suppression.objects.get().pk}/delete/"
    assert "The note stays in the record" in admin_site.get(path).content.decode()
    answer = admin_site.post(path, {"post": "yes", "note": "  "}, follow=True)
    assert "Say why" in answer.content.decode()
    assert Suppression.objects.exists()
    admin_site.post(path, {"post": "yes", "note": "Consent renewed by phone"})
    assert not Suppression.objects.exists()
    entry = LogEntry.objects.first()
    assert entry is not None
    assert (entry.user, entry.is_deletion()) == (admin, True)
    assert entry.change_message == "Consent renewed by phone"


def test_stopped_addresses_are_not_freed_in_bulk(admin_site: Client, user: User) -> None:
    stop(admin_site, email=user.email)
    row = Suppression.objects.get()
    form = {"action": "delete_selected", "_selected_action": row.pk, "post": "yes", "note": "x"}
    admin_site.post(SUPPRESSIONS, form)
    assert Suppression.objects.exists()


def test_a_stopped_address_is_found_by_the_whole_address(admin_site: Client, user: User) -> None:
    stop(admin_site, email=user.email)
    for word, count in ((user.email, 1), ("letter", 1), (user.email[:5], 0)):
        found = admin_site.get(SUPPRESSIONS, {"q": word}).context["cl"].result_list
        assert len(found) == count, word


def test_a_device_s_token_is_never_shown_whole(admin_site: Client, user: User) -> None:
    token = "fcm-token-that-lets-anybody-push-to-this-phone"
    device = register_device(user=user, token=token, platform="android")
    for path in (DEVICES, f"{DEVICES}{device.pk}/change/", f"{DEVICES}{device.pk}/delete/"):
        text = admin_site.get(path).content.decode()
        assert token not in text
    assert token[-6:] in admin_site.get(DEVICES).content.decode()
    assert token[-7:] not in admin_site.get(DEVICES).content.decode()


def test_a_lost_device_is_removed(admin_site: Client, user: User) -> None:
    device = register_device(user=user, token="t" * 40, platform="ios")
    assert admin_site.post(f"{DEVICES}{device.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Device.objects.exists()


def test_what_staff_record_is_on_record_as_theirs_without_their_notes(
    admin_site: Client, admin: User, user: User
) -> None:
    stop(admin_site, email=user.email, reason="by_staff", source="Lakshmi rang on 3 May")
    row = Suppression.objects.get()
    assert (row.reason, row.source) == ("by_staff", "Lakshmi rang on 3 May")
    admin_site.post(f"{SUPPRESSIONS}{row.pk}/delete/", {"post": "yes", "note": "Lakshmi rang again"})
    admin_site.post(f"{PREFERENCES}add/", {"user": user.pk, "channels_off": ["sms", "email"]})
    preference = RecipientPreference.objects.get()
    admin_site.post(f"{PREFERENCES}{preference.pk}/change/", {"channels_off": ["email"]})
    events = ConsentEvent.objects.order_by("pk").values_list("kind", "channel", "door", "user", "wording")
    by = f"staff {admin.pk}"
    assert list(events) == [
        ("opt_out", "email", "staff", None, by),
        ("opt_in", "email", "staff", None, by),
        ("opt_out", "sms", "staff", user.pk, by),
        ("opt_out", "email", "staff", user.pk, by),
        ("opt_in", "sms", "staff", user.pk, by),
    ]


def test_what_is_on_record_about_an_address_is_found_by_the_whole_address(
    admin_site: Client, user: User
) -> None:
    stop(admin_site, email=user.email)
    User.objects.filter(pk=user.pk).update(email="somebody.else@example.test")
    for word, count in ((user.email, 1), ("staff", 1), (user.email[:5], 0)):
        found = admin_site.get("/admin/followups/consentevent/", {"q": word}).context["cl"].result_list
        assert len(found) == count, word
