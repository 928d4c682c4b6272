from pathlib import Path

import pytest

from prog_kit.settings import Settings, SettingsError, documented, misspelt

GOOD = {
    "PROG_DATABASE_URL": "postgresql://host/db",
    "PROG_REDIS_URL": "redis://host:6379/0",
    "PROG_SECRET_KEYS": "0123456789abcdef0123456789abcdef",
}


def problems(environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        Settings.load(environment)
    return raised.value.problems


def test_good_settings_load() -> None:
    settings = Settings.load(GOOD)
    assert settings.effective_broker_url == "redis://host:6379/0"
    assert settings.env == "development"


def test_all_problems_are_told_at_once_with_their_variables() -> None:
    told = problems({"PROG_DATABASE_URL": "mysql://x", "PROG_PORT": "eighty", "PROG_SECRET_KEYS": "short"})
    text = "\n".join(told)
    assert len(told) == 4
    for name in ("PROG_DATABASE_URL", "PROG_PORT", "PROG_SECRET_KEYS", "PROG_REDIS_URL"):
        assert name in text
    assert "openssl rand -hex 32" in text, "the remedy"


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(GOOD["PROG_SECRET_KEYS"] + "\n")
    environment = {name: value for name, value in GOOD.items() if name != "PROG_SECRET_KEYS"}
    assert Settings.load(environment | {"PROG_SECRET_KEYS_FILE": str(file)}).secret_keys == (GOOD["PROG_SECRET_KEYS"],)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (told,) = problems(GOOD | {"PROG_SMTP_URL_FILE": str(tmp_path / "missing")})
    assert told.startswith("PROG_SMTP_URL_FILE")


def test_a_value_and_its_file_exclude_each_other() -> None:
    (told,) = problems(GOOD | {"PROG_REDIS_URL_FILE": "/x"})
    assert "both set" in told


def test_templates_are_filled_from_the_environment() -> None:
    settings = Settings.load(GOOD | {"PROG_DATABASE_URL": "postgresql://${DB_HOST}/db", "DB_HOST": "db.internal"})
    assert settings.database_url == "postgresql://db.internal/db"


def test_a_template_without_its_variable_is_told() -> None:
    (told,) = problems(GOOD | {"PROG_PUBLIC_URL": "https://${NOBODY_SET_THIS}/"})
    assert "${NOBODY_SET_THIS}" in told


def test_production_refuses_sandbox_and_plain_http() -> None:
    text = "\n".join(problems(GOOD | {"PROG_ENV": "production"}))
    for name in ("PROG_STRIPE_API_KEY", "PROG_SMTP_URL", "PROG_PUBLIC_URL"):
        assert name in text


def test_production_refuses_a_default_secret() -> None:
    environment = GOOD | {"PROG_ENV": "production", "PROG_SECRET_KEYS": "change-me-change-me-change-me-change-me"}
    assert any("PROG_SECRET_KEYS" in line for line in problems(environment))


def test_every_setting_has_a_description() -> None:
    assert all(description for _, _, description in documented())


def test_a_misspelt_setting_is_told_with_the_nearest_name() -> None:
    told = misspelt(
        {"PROG_PROT": "9", "PROG_PORT": "9", "PROG_SMTP_URL_FILE": "x", "PROG_TEST_KAFKA_URL": "x", "HOME": "/"}
    )
    assert told == ["PROG_PROT is no setting; did you mean PROG_PORT?"]


def test_where_kafka_is_the_broker_signals_travel_over_redis() -> None:
    settings = Settings.load(GOOD | {"PROG_BROKER_URL": "kafka://a:9092,b:9092"})
    assert settings.effective_broker_url == "kafka://a:9092,b:9092"
    assert settings.signals_url == settings.redis_url


def test_a_broker_of_another_kind_is_refused() -> None:
    (told,) = problems(GOOD | {"PROG_BROKER_URL": "amqp://localhost"})
    assert "PROG_BROKER_URL" in told
    assert "kafka://" in told
