"""The demo data of a local run."""

import pytest
from django.core.management import call_command

from credits.selectors import balance_of, imbalances
from jyotiflow.accounts.models import User
from sessions_app.models import Session

RUNS = 12


@pytest.mark.django_db
def test_the_demo_can_be_loaded_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    call_command("load_starters")
    for number in range(RUNS):
        monkeypatch.setenv("DEMO_PASSWORD", f"password-{number}")
        call_command("load_demo", verbosity=0)
    user = User.objects.get(email="user@jyotiflow.test")
    assert user.check_password(f"password-{RUNS - 1}")
    assert Session.objects.filter(user=user).count() == RUNS
    assert balance_of(user) > 0
    assert imbalances() == []
    assert User.objects.count() == 2
