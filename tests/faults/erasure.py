"""One person goes through everything the product does, well and badly, and is then erased.

Before: no log, no key of Redis and no task says who it is or what was written to them. After: neither does
the database, and every credit is accounted for.
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import requests
from django.utils.timezone import now
from twilio.request_validator import RequestValidator

from celery_app import app
from credits.models import CreditEntry
from credits.selectors import balance_of, imbalances
from credits.services import grant
from followups.choices import AttemptState, State
from followups.models import Attempt, Erasure, FollowUpSchedule
from followups.services.settings import load_default_settings, update_settings
from followups.services.templates import save_template
from jyotiflow.accounts.models import MachineKey, User
from jyotiflow.accounts.services import create_machine_key
from sessions_app.models import Session
from tests.faults.fleet import Fleet
from tests.faults.gossip import gossiping_http, gossiping_smtp
from tests.faults.scenario import Options, Progress, Verdict
from tests.faults.simulator.twilio import ACCOUNT, TOKEN
from tests.faults.traces import database_text, hits, log_text, redis_text, tables_with

CHANNELS = ("email", "sms", "whatsapp", "push", "in_app")
LOUD = {"DJANGO_SETTINGS_MODULE": "tests.faults.loud.settings"}
PASSWORD = "a-long-canary-passphrase"
PATIENCE_SECONDS = 180.0

PERSON = {
    "email": "zarathustra.quill@canary.example",
    "phone": "+919840077123",
    "digits of the phone": "919840077123",
    "name": "Quillvanna",
    "name in Tamil": "குயில்வண்ணன்",
}
WORDS = {
    "question": "Should the lighthouse of Kollam be sold?",
    "guidance": "Let the lighthouse keep its lamp",
    "message": "brontosaurian greetings",
    "custom variable": "a thimbleful of marmalade",
    "device token": "canary-device-token-0123456789",
    "password": PASSWORD,
}
KEPT_WORDS = {name: WORDS[name] for name in ("question", "guidance", "custom variable", "device token")}


def play(fleet: Fleet, options: Options) -> Verdict:
    """The whole story; the table says how many traces were found where."""
    story = Story(fleet)
    fleet.start_web(environment={**LOUD, "LOGIN_RATE": "5/min"})
    fleet.start_worker("worker")
    fleet.start_beat("beat")
    fleet.wait_until_ready()
    say = Progress("erasure")
    say("everything is sent, delivered and read")
    story.sign_in_badly_and_well()
    story.use_the_api()
    story.book_everything()
    story.wait_until_settled()
    story.wait_for("delivered messages", lambda: story.follow_ups(State.DELIVERED) >= 3)
    story.read_what_came()
    story.call_back_as_a_provider()
    with gossiping_http() as gossip, gossiping_smtp(PERSON["email"]) as mail:
        refusing = {
            "TWILIO_API_BASE_URL": gossip,
            "FIREBASE_API_BASE_URL": gossip,
            "ANYMAIL_RESEND_API_URL": f"{gossip}/",
        }
        plain_mail = {"EMAIL_ESP": "", "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(mail)}
        say("every provider refuses and says whom and what")
        story.send_through("gossip", refusing)
        story.send_through("smtp", plain_mail, channels=("email",))
        say("every channel raises what it was given")
        fleet.end(story.worker)
        fleet.start_worker("dispatcher", queues="default")
        story.book_everything()
        story.wait_for("tasks in Redis", lambda: redis_text(fleet.valkey.url).count("send_follow_up") >= 5)
        queued = redis_text(fleet.valkey.url)
        fleet.end("dispatcher")
        story.start_worker("loud", LOUD)
        app.send_task("tests.faults.loud.fail", (story.person.pk,), queue="default")
        story.wait_until_settled()
    story.wait_for("the failing task", lambda: "task_failed" in log_text(fleet.home))
    story.use_the_admin()
    story.book_everything(("email", "in_app"), later=timedelta(days=1))
    say("nothing may have been said so far")
    before = story.look()
    before["Redis and tasks"] = hits(queued + redis_text(fleet.valkey.url), {**PERSON, **WORDS})
    say("erased")
    problems = story.erase()
    story.call_back_as_a_provider()
    after = story.look()
    return story.verdict(before, after, problems)


class Story:
    """One person, one administrator, and what both do over HTTP."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.worker = "worker"
        self.known: set[uuid.UUID] = set()
        load_default_settings()
        update_settings(
            changes={
                "min_interval_hours": 0,
                "max_followups_per_session": 50,
                "refund_on_cancel": False,
                "refund_on_failure": False,
            }
        )
        self.person = User.objects.create_user(
            PERSON["email"],
            PASSWORD,
            name=f"{PERSON['name']} {PERSON['name in Tamil']}",
            phone=PERSON["phone"],
        )
        self.admin = User.objects.create_superuser("admin@canary.test", PASSWORD)
        grant(user=self.person, amount=1_000, reason="Welcome", key="welcome")
        self.session = Session.objects.create(
            user=self.person, service_type="guidance", question=WORDS["question"]
        )
        _, self.machine_key = create_machine_key(name="platform", scope=MachineKey.Scope.SESSIONS_COMPLETE)
        self.templates = {channel: _template(channel) for channel in CHANNELS}
        self.token = ""

    # --- over HTTP ---

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        if self.token:
            headers = {"Authorization": f"Bearer {self.token}", **headers}
        return requests.request(method, self.fleet.url + path, json=body, headers=headers, timeout=60)

    def sign_in_badly_and_well(self) -> None:
        login = {"email": PERSON["email"], "password": PASSWORD}
        answer = self.api("POST", "/api/auth/login", login)
        self.token, refresh = answer.json()["access_token"], answer.json()["refresh_token"]
        self.api("POST", "/api/auth/refresh", {"refresh_token": refresh})
        wrong = {**login, "password": "wrong"}
        codes = [self.api("POST", "/api/auth/login", wrong).status_code for _ in range(12)]
        assert 401 in codes, codes
        assert 429 in codes, codes
        self.api("POST", "/api/auth/login", {"email": PERSON["name"], "password": [PERSON["phone"]]})
        self.api("POST", "/api/auth/refresh", {"refresh_token": f"{PERSON['email']}.{PERSON['phone']}.x"})
        self.api("GET", "/api/user/profile", None, Authorization=f"Bearer {PERSON['email']}")
        with requests.Session() as browser:  # the page, wrong
            _post(browser, f"{self.fleet.url}/accounts/login", username=PERSON["email"], password="wrong")

    def use_the_api(self) -> None:
        email, phone, name = PERSON["email"], PERSON["phone"], PERSON["name"]
        device = {"token": WORDS["device token"], "platform": "android"}
        assert self.api("POST", "/api/followup/devices", device).status_code == 201
        self.api("POST", "/api/followup/devices", {**device, "platform": email, name: phone})
        machine = {"X-API-Key": self.machine_key}
        said = {
            "session_id": self.session.pk,
            "service_type": "guidance",
            "guidance_summary": WORDS["guidance"],
        }
        done = "/api/followup/auto/session-complete"
        self.api("POST", done, {**said, "user_email": f"x{email}"}, **machine)
        self.api("POST", done, {**said, "user_email": email, "session_id": phone}, **machine)
        assert self.api("POST", done, {**said, "user_email": email}, **machine).status_code == 200
        for path in (
            "/api/user/profile",
            "/api/sessions",
            "/api/followup/my-followups",
            "/api/followup/privacy/export",
            f"/api/followup/my-followups?status={email}&q={phone}",
            f"/api/followup/session/{email}",
            f"/api/followup/session/{self.session.pk}",
            f"/api/{email}/{name}?{phone}",
            f"/{name}/{email}",
            f"/u/{email}",
            f"/loud/page?id={self.person.pk}&{email}",
            f"/loud/suspicious?id={self.person.pk}&{email}",
            f"/{email}%00",
        ):
            self.api("GET", path)
        for body in (
            {"template_id": name, "channel": phone, "user_email": f"x{email}"},
            {"template_id": str(self.templates["email"]), "user_email": f"x{email}"},
            {"template_id": str(self.templates["email"]), "custom_variables": {email: phone, name: {}}},
            {"template_id": str(uuid.uuid4()), "session_id": name, email: name},
        ):
            assert self.api("POST", "/api/followup/schedule", body).status_code >= 400
        self.api("POST", f"/api/followup/email/{email}")
        self.api("POST", "/api/followup/cancel/" + email)
        assert (
            self.api("POST", "/api/loud", {"email": email, "question": WORDS["question"]}).status_code == 500
        )
        self.api("POST", "/api/followup/privacy/erase", {"password": f"{email}{phone}"})
        self.api("POST", "/api/followup/privacy/erase", {"confirm": email, name: email})
        raw = f'{{"email": "{email}", "name": {name}'.encode()
        requests.post(f"{self.fleet.url}/api/auth/login", data=raw, timeout=60)
        requests.get(f"{self.fleet.url}/", headers={"Host": f"{name}.example"}, timeout=60)

    def use_the_admin(self) -> None:
        url = f"{self.fleet.url}/admin/"
        with requests.Session() as browser:
            _post(browser, f"{url}login/", username=PERSON["email"], password=PASSWORD)  # no staff
            answer = _post(browser, f"{url}login/", username=self.admin.email, password=PASSWORD)
            assert "sessionid" in browser.cookies, answer.text[:500]
            for page in (
                f"accounts/user/?q={PERSON['email']}",
                f"accounts/user/{self.person.pk}/change/",
                f"accounts/user/{PERSON['email']}/change/",
                f"followups/followupschedule/?q={PERSON['phone']}",
                f"followups/suppression/?q={PERSON['email']}",
                f"sessions_app/session/{self.session.pk}/change/",
                f"credits/creditaccount/grant/?email={PERSON['email']}",
            ):
                browser.get(url + page, timeout=60)
            change = f"{url}accounts/user/{self.person.pk}/change/"
            _post(
                browser,
                change,
                email=PERSON["email"],
                name=f"{PERSON['name']} {PERSON['name in Tamil']}",
                phone=PERSON["phone"],
                preferred_language="ta",
                timezone="Asia/Kolkata",
                is_active="on",
            )
            stop = {"email": PERSON["email"], "channel": "push", "reason": "opt_out"}
            note = f"{PERSON['name']} ({PERSON['email']}) called"
            _post(browser, f"{url}followups/suppression/add/", **stop, source=note)
            grants = f"{url}credits/creditaccount/grant/"
            given = {"email": PERSON["email"], "amount": "5", "key": str(uuid.uuid4())}
            _post(browser, grants, **given, reason=f"{PERSON['name']} asked")
            _post(browser, grants, **given, reason="A gift")
            listed = f"{url}accounts/user/"
            export = _post(browser, listed, action="export_selected", _selected_action=str(self.person.pk))
            assert PERSON["email"] in export.text
            _post(browser, listed, action="erase_selected", _selected_action=str(self.person.pk))
            _post(browser, f"{url}accounts/user/add/", email=PERSON["email"], name=PERSON["name"])
        assert balance_of(self.person) > 0

    def call_back_as_a_provider(self) -> None:
        """Signed and forged reports, known and unknown messages, each with the address in it."""
        known = Attempt.objects.filter(provider="twilio").order_by("-gate_at").first()
        for reference in (str(known.pk) if known else "", str(uuid.uuid4())):
            for status in ("failed", "delivered", "read"):
                path = f"/api/followup/receipts/twilio?a={reference}"
                fields = {
                    "AccountSid": ACCOUNT,
                    "MessageSid": f"SM{uuid.uuid4().hex}",
                    "MessageStatus": status,
                    "ErrorCode": "30008",
                    "ErrorMessage": f"{PERSON['phone']} is unknown, so is {PERSON['email']}",
                    "To": f"whatsapp:{PERSON['phone']}",
                    "Body": WORDS["message"],
                }
                signature = RequestValidator(TOKEN).compute_signature(self.fleet.url + path, fields)
                for given in (signature, "forged"):
                    headers = {"X-Twilio-Signature": given}
                    requests.post(self.fleet.url + path, data=fields, headers=headers, timeout=60)
        path = "/api/followup/receipts/twilio/inbound"
        reply = {
            "AccountSid": ACCOUNT,
            "MessageSid": f"SM{uuid.uuid4().hex}",
            "From": PERSON["phone"],
            "Body": f"{WORDS['question']} {PERSON['name']}, {PERSON['email']}",
        }
        signature = RequestValidator(TOKEN).compute_signature(self.fleet.url + path, reply)
        headers = {"X-Twilio-Signature": signature}
        heard = requests.post(self.fleet.url + path, data=reply, headers=headers, timeout=60)
        assert heard.status_code == 200, heard.text
        forged: Any = {"type": "email.bounced", "data": {"to": [PERSON["email"]], "subject": PERSON["name"]}}
        requests.post(f"{self.fleet.url}/api/followup/receipts/email/resend", json=forged, timeout=60)

    # --- messages ---

    def book_everything(
        self, channels: tuple[str, ...] = CHANNELS, *, later: timedelta = timedelta(0)
    ) -> None:
        for channel in channels:
            body = {
                "template_id": str(self.templates[channel]),
                "session_id": self.session.pk,
                "user_email": PERSON["email"],
                "scheduled_at": (now() + later).isoformat(),
                "custom_variables": {"token_of_thanks": WORDS["custom variable"]},
            }
            answer = self.api(
                "POST",
                "/api/followup/schedule",
                body,
                **{"Idempotency-Key": f"{PERSON['name']}-{uuid.uuid4()}"},
            )
            assert answer.status_code == 201, (channel, answer.text)

    def send_through(
        self, name: str, environment: Mapping[str, str], channels: tuple[str, ...] = CHANNELS
    ) -> None:
        self.fleet.end(self.worker)
        self.start_worker(name, environment)
        self.book_everything(channels)
        self.wait_until_settled()

    def start_worker(self, name: str, environment: Mapping[str, str]) -> None:
        self.fleet.start_worker(name, environment=environment)
        self.worker = name

    def read_what_came(self) -> None:
        for follow_up in FollowUpSchedule.objects.filter(status=State.DELIVERED):
            self.api("POST", f"/api/followup/read/{follow_up.pk}")

    def follow_ups(self, *states: State) -> int:
        return FollowUpSchedule.objects.filter(user=self.person, status__in=states).count()

    def wait_until_settled(self) -> None:
        """Until every message that is due was tried."""
        due = FollowUpSchedule.objects.filter(user=self.person, scheduled_at__lte=now())
        untried = due.exclude(attempts__state__in=set(AttemptState) - {AttemptState.CALLING})
        self.wait_for("tried messages", lambda: not untried.exists())

    def wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(what)
            time.sleep(0.3)

    # --- the end ---

    def erase(self) -> list[str]:
        """Erase through the API; returns what isn't as it must be."""
        entries = {entry.pk: entry.amount for entry in CreditEntry.objects.all()}
        waiting = FollowUpSchedule.objects.filter(user=self.person, status=State.PENDING)
        owed = sum(waiting.values_list("credits_charged", flat=True))
        balance = balance_of(self.person)
        answer = self.api("POST", "/api/followup/privacy/erase", {"password": PASSWORD})
        problems = [] if answer.status_code == 200 else [f"refused: {answer.text}"]
        now_there = {entry.pk: entry.amount for entry in CreditEntry.objects.all()}
        if entries.items() - now_there.items():
            problems.append("an entry of the ledger changed")
        gained = sum(now_there.values()) - sum(entries.values())
        if not gained == owed == balance_of(self.person) - balance == answer.json()["credits_refunded"]:
            problems.append(f"{owed} credits waited and {gained} came back")
        if imbalances():
            problems.append("the ledger is out of balance")
        if self.api("GET", "/api/user/profile").status_code != 401:
            problems.append("an erased person is still signed in")
        if not Erasure.objects.filter(user=self.person, actor=self.person).exists():
            problems.append("nothing says that somebody was erased")
        return problems

    def look(self) -> dict[str, dict[str, int]]:
        """The traces in each place."""
        return {
            "PostgreSQL": hits(database_text(self.fleet.postgres.url), {**PERSON, **KEPT_WORDS}),
            "Redis and tasks": hits(redis_text(self.fleet.valkey.url), {**PERSON, **WORDS}),
            "logs": hits(log_text(self.fleet.home), {**PERSON, **WORDS}),
        }

    def verdict(
        self,
        before: Mapping[str, Mapping[str, int]],
        after: Mapping[str, Mapping[str, int]],
        problems: list[str],
    ) -> Verdict:
        missing = {*PERSON, *KEPT_WORDS} - set(before["PostgreSQL"])
        if missing:
            problems.append(f"never stored, so nothing is proved: {', '.join(sorted(missing))}")
        for place in ("Redis and tasks", "logs"):
            problems += [f"before: {place} told {word} {n} times" for word, n in before[place].items()]
        for place, found in after.items():
            problems += [f"after: {place} told {word} {n} times" for word, n in found.items()]
        dump = database_text(self.fleet.postgres.url)
        problems += [f"after: {line}" for line in tables_with(dump, {**PERSON, **KEPT_WORDS})]
        rows = [
            {"place": place, "before": sum(found.values()), "after": sum(after[place].values())}
            for place, found in before.items()
        ]
        lines = log_text(self.fleet.home).count("\n")
        notes = [
            f"{self.follow_ups(*State)} follow-ups, {Attempt.objects.count()} attempts",
            f"{lines} lines of logs",
            f"stored before: {dict(before['PostgreSQL'])}",
        ]
        return Verdict(rows=rows, notes=notes, problems=problems)


def _template(channel: str) -> uuid.UUID:
    words = f"{WORDS['message']}, {{{{user_name}}}}: {{{{guidance_summary}}}} {{{{token_of_thanks}}}}"
    template, _ = save_template(
        fields={
            "name": f"Canary {channel}",
            "template_type": "session_followup",
            "channel": channel,
            "subject": "For {{user_name}}",
            "tamil_subject": "{{user_name}}",
            "content": words,
            "tamil_content": words,
            "variables": ["user_name", "guidance_summary", "token_of_thanks"],
            "credits_cost": 2,
            **({"whatsapp_content_sid": f"HX{1:032x}"} if channel == "whatsapp" else {}),
            **({"tamil_whatsapp_content_sid": f"HX{2:032x}"} if channel == "whatsapp" else {}),
        }
    )
    return template.pk


def _post(browser: requests.Session, url: str, **fields: str) -> requests.Response:
    """Send a form as a browser does, with the token of the page it came from."""
    with contextlib.suppress(requests.RequestException):
        browser.get(url, timeout=60)
    token = browser.cookies.get("csrftoken", "")
    return browser.post(
        url, data={**fields, "csrfmiddlewaretoken": token}, headers={"Referer": url}, timeout=60
    )
