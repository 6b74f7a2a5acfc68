import re
import uuid

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from credits.models import CreditEntry
from credits.selectors import balance_of
from credits.services import charge, grant
from tests.factories import UserFactory

GRANT = "/admin/credits/creditaccount/grant/"


@pytest.fixture
def account(user):
    grant(user=user, amount=10, reason="Welcome", key="welcome")
    charge(user=user, amount=3, key="f1:charge", reason="Follow-up")
    return user.credit_account


def form(user, **fields):
    return {"email": user.email, "amount": 5, "reason": "Goodwill", "key": str(uuid.uuid4())} | fields


@pytest.mark.parametrize("path", ["creditaccount/", "creditentry/", "creditentry/?kind__exact=charge"])
def test_the_ledger_is_listed_and_found_by_email(admin_site, account, path):
    other = UserFactory()
    grant(user=other, amount=1, reason="Welcome", key="welcome 2")
    mark = "&" if "?" in path else "?"
    text = admin_site.get(f"/admin/credits/{path}{mark}q={account.user.email}").content.decode()
    assert account.user.email in text
    assert other.email not in text


def test_nothing_in_the_ledger_is_edited_by_hand(admin_site, account):
    entry = CreditEntry.objects.earliest("created_at")
    for path in (f"creditaccount/{account.pk}", f"creditentry/{entry.pk}"):
        assert admin_site.get(f"/admin/credits/{path}/change/").status_code == 200
        assert admin_site.post(f"/admin/credits/{path}/change/", {"amount": 99}).status_code == 403
        assert admin_site.post(f"/admin/credits/{path}/delete/", {"post": "yes"}).status_code == 403
    for model in ("creditaccount", "creditentry"):
        assert admin_site.get(f"/admin/credits/{model}/add/").status_code == 403


def test_an_entry_names_whose_account_it_moved_and_when(admin_site, account):
    entry = CreditEntry.objects.get(kind="charge")
    text = admin_site.get(f"/admin/credits/creditentry/{entry.pk}/change/").content.decode()
    assert f'<a href="/admin/credits/creditaccount/{account.pk}/change/">{account.user.email}</a>' in text
    assert 'class="form-row field-created_at"' in text


def test_credits_are_granted_with_a_reason_and_by_whom(admin_site, admin, account):
    response = admin_site.post(GRANT, form(account.user), follow=True)
    assert "the balance is 12" in response.content.decode()
    entry = CreditEntry.objects.get(kind="grant", amount=5)
    assert (entry.reason, entry.actor) == ("Goodwill", admin)


def test_a_user_without_an_account_gets_one(admin_site, user):
    admin_site.post(GRANT, form(user, email=user.email.upper()))
    assert balance_of(user) == 5


def test_a_double_click_grants_once(admin_site, user):
    sent = form(user)
    admin_site.post(GRANT, sent)
    admin_site.post(GRANT, sent)
    assert balance_of(user) == 5


def test_each_grant_page_has_its_own_key(admin_site):
    pages = [admin_site.get(GRANT).content.decode() for _ in range(2)]
    keys = [re.findall(r'name="key" value="([^"]+)"', page) for page in pages]
    assert keys[0] != keys[1]


def test_the_page_shows_the_balance(admin_site, account):
    assert "<strong>7</strong>" in admin_site.get(f"{GRANT}?email={account.user.email}").content.decode()
    assert GRANT in admin_site.get("/admin/credits/creditaccount/").content.decode()
    assert GRANT in admin_site.get(f"/admin/credits/creditaccount/{account.pk}/change/").content.decode()


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": 0},
        {"amount": -5},
        {"amount": 10**9},
        {"amount": ""},
        {"reason": " "},
        {"reason": "a\x00b"},
        {"email": "x"},
        {"email": "nobody@example.test"},
        {"key": "x"},
    ],
)
def test_a_bad_grant_is_shown_again_and_gives_nothing(admin_site, user, fields):
    response = admin_site.post(GRANT, form(user, **fields))
    assert response.status_code == 200
    assert "errorlist" in response.content.decode()
    assert not CreditEntry.objects.exists()


def test_a_key_used_for_another_grant_is_refused_on_the_page(admin_site, user):
    sent = form(user)
    admin_site.post(GRANT, sent)
    response = admin_site.post(GRANT, sent | {"amount": 6})
    assert "another movement" in response.content.decode()
    assert balance_of(user) == 5


def test_granting_needs_its_permission(staff, account):
    browser = Client()
    browser.force_login(staff)
    staff.user_permissions.set(Permission.objects.filter(codename="view_creditaccount"))
    assert GRANT not in browser.get("/admin/credits/creditaccount/").content.decode()
    assert browser.get(GRANT).status_code == 403
    assert browser.post(GRANT, form(account.user)).status_code == 403
    assert balance_of(account.user) == 7
    staff.user_permissions.add(Permission.objects.get(codename="add_creditentry"))
    assert browser.post(GRANT, form(account.user)).status_code == 302
    assert Client().get(GRANT).status_code == 302  # to the sign-in
