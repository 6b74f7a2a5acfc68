import pytest

from jyotiflow.checks import check_production, check_rates, check_secrets

GOOD = "q7Jm0Zr4Lk9Vx2Tb8Nc5Wd1Hf6Gs3Yp0"


def secret_faults(settings, **values):
    settings.SECRET_KEY, settings.JWT_SECRET = GOOD, GOOD[::-1]
    settings.PUBLIC_BASE_URL = "https://followups.example.test"
    for name, value in values.items():
        setattr(settings, name, value)
    return [(fault.id, fault.msg) for fault in check_secrets(None)]


def test_good_secrets_pass(settings):
    assert secret_faults(settings) == []


@pytest.mark.parametrize("name", ["SECRET_KEY", "JWT_SECRET"])
@pytest.mark.parametrize(
    ("value", "identity"),
    [
        ("", "jyotiflow.E001"),
        ("tiny", "jyotiflow.E002"),
        ("abcabcabcabcabcabcabcabcabcabcabcabc", "jyotiflow.E005"),
        ("changeme-changeme-changeme-changeme-changeme", "jyotiflow.E005"),
        ("Your-Secret-Key-That-Is-Very-Long-Indeed-1234", "jyotiflow.E005"),
    ],
)
def test_a_bad_secret_is_named(settings, name, value, identity):
    ((found, message),) = secret_faults(settings, **{name: value})
    assert found == identity
    assert message.startswith(name)
    assert not value or value not in message


def test_the_platform_s_secret_signs_nothing_else(settings):
    ((found, message),) = secret_faults(settings, JWT_SECRET=GOOD)
    assert found == "jyotiflow.E010"
    assert secret_faults(settings, JWT_SECRET=GOOD, PUBLIC_BASE_URL="http://localhost:8000") == []


def test_a_short_secret_will_do_for_development(settings):
    assert secret_faults(settings, JWT_SECRET="short", PUBLIC_BASE_URL="http://localhost:8000") == []
    assert secret_faults(settings, JWT_SECRET="", PUBLIC_BASE_URL="http://localhost:8000") != []


def test_production_needs_its_servers_named_and_debug_off(settings):
    settings.PUBLIC_BASE_URL = "https://followups.example.test"
    settings.DEBUG = True
    settings.UNNAMED_SERVERS = ["REDIS_URL"]
    settings.ALLOWED_HOSTS = ["*"]
    settings.METRICS_TOKEN = "guess-me"
    faults = [fault.id for fault in check_production(None)]
    assert faults == ["jyotiflow.E003", "jyotiflow.E011", "jyotiflow.E012", "jyotiflow.E004"]
    assert check_production(None)[3].msg.startswith("REDIS_URL")
    settings.PUBLIC_BASE_URL = "http://localhost:8000"
    assert check_production(None) == []


@pytest.mark.parametrize("rate", ["", "20", "0/min", "many/min", "20/fortnight", "-1/min", "20 per minute"])
def test_a_rate_that_is_none_is_named(settings, rate):
    assert check_rates(None) == []
    rates = {**settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], "machine": rate}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}
    (fault,) = check_rates(None)
    assert (fault.id, fault.msg) == ("jyotiflow.E009", "MACHINE_RATE is not a rate.")
