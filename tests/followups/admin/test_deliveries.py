"""Attempts, provider events and the sandbox's outbox in the admin site."""

from typing import Any

import pytest
from django.test import Client

from followups.models import FollowUpSchedule, SandboxMessage

pytestmark = pytest.mark.django_db

OUTBOX = "/admin/followups/sandboxmessage/"
WARNING = "Sandbox outbox: nothing here was really sent"


def found(client: Client, model: str, word: object) -> list[Any]:
    return list(client.get(f"/admin/followups/{model}/", {"q": str(word)}).context["cl"].result_list)


def test_the_outbox_says_that_nothing_was_sent(admin_site: Client, sent: FollowUpSchedule) -> None:
    message = SandboxMessage.objects.get()
    for path in (OUTBOX, f"{OUTBOX}{message.pk}/change/"):
        assert f"<h1>{WARNING}</h1>" in admin_site.get(path).content.decode()


def test_a_message_s_html_is_shown_harmlessly(admin_site: Client, sent: FollowUpSchedule) -> None:
    message = SandboxMessage.objects.get()
    message.html = '<p onclick="x()">Hello</p><script>alert(1)</script></textarea>'
    message.save()
    text = admin_site.get(f"{OUTBOX}{message.pk}/change/").content.decode()
    frame = f"{OUTBOX}{message.pk}/html/"
    assert f'<iframe sandbox src="{frame}"' in text
    assert admin_site.get(frame).content.decode() == message.html
    assert "<script>alert(1)" not in text
    assert "<p onclick" not in text
    assert "&lt;/textarea&gt;</textarea>" in text
    assert f"Dear {sent.user.name}, how are you?" in text
    assert f"/admin/followups/followupschedule/{sent.pk}/change/" in text


def test_the_outbox_names_channel_language_and_headers(admin_site: Client, sent: FollowUpSchedule) -> None:
    SandboxMessage.objects.update(headers={"X-Note": "<b>"})
    text = admin_site.get(f"{OUTBOX}{SandboxMessage.objects.get().pk}/change/").content.decode()
    assert '<div class="readonly">Email</div>' in text
    assert '<div class="readonly">English</div>' in text
    assert "<td>X-Note</td><td>&lt;b&gt;</td>" in text
    assert '<td class="field-channel_name">Email</td>' in admin_site.get(OUTBOX).content.decode()


def test_what_a_provider_said_is_shown_line_by_line(admin_site: Client, sent: FollowUpSchedule) -> None:
    attempt = sent.attempts.get()
    attempt.events.update(raw={"Body": "<script>நன்றி"})
    event = attempt.events.first()
    assert event is not None
    text = admin_site.get(f"/admin/followups/providerevent/{event.pk}/change/").content.decode()
    assert "&quot;Body&quot;: &quot;&lt;script&gt;நன்றி&quot;" in text


def test_messages_are_found_by_address_and_id(admin_site: Client, sent: FollowUpSchedule) -> None:
    message = SandboxMessage.objects.get()
    for word in (sent.user.email[:7], message.subject.split()[0], message.pk, sent.pk, message.attempt_id):
        assert found(admin_site, "sandboxmessage", word) == [message], word
    assert found(admin_site, "sandboxmessage", "nobody@nowhere.test") == []


def test_attempts_and_events_are_found_by_whole_ids(admin_site: Client, sent: FollowUpSchedule) -> None:
    attempt = sent.attempts.get()
    for word in (attempt.pk, sent.pk, attempt.provider_message_id):
        assert found(admin_site, "attempt", word) == [attempt], word
    assert found(admin_site, "attempt", "nothing") == []
    events = list(attempt.events.order_by("-pk"))
    assert len(events) == 2
    for word in (attempt.pk, attempt.provider_message_id):
        assert found(admin_site, "providerevent", word) == events, word
    assert found(admin_site, "providerevent", events[0].event_key) == events[:1]
    assert found(admin_site, "providerevent", "nothing") == []
