"""What a person may say of how they are shown, and want to be shown things."""

from __future__ import annotations

import base64

import pytest

from prog_contracts.errors import Invalid
from prog_contracts.ids import new_id
from prog_contracts.profiles import AVATAR_MAX_BYTES, UpdateProfile
from prog_workers.users.rules import profiles as rules
from prog_workers.users.rules.profiles import Profile

ADA = Profile("Ada", "en-GB", "Europe/London", "dark", "5f" * 16)


def wish(**said: object) -> UpdateProfile:
    return UpdateProfile.model_validate({"user_id": new_id("user"), **said})


def test_what_is_left_out_stays_and_what_is_unset_goes() -> None:
    assert rules.changed_profile(ADA, wish()) == ADA
    later = rules.changed_profile(ADA, wish(name=" Countess  Lovelace ", unset=("locale", "theme")))
    assert later == Profile("Countess Lovelace", None, "Europe/London", None, "5f" * 16)
    assert ADA.changed(later) == ("name", "locale", "theme")
    assert ADA.changed(Profile("Ada", "en-GB", "Europe/London", "dark")) == ("avatar",)


@pytest.mark.parametrize(
    ("said", "kept"),
    [("en-GB", "en-GB"), ("pt-br", "pt-BR"), ("DE", "de"), ("zh-hant-tw", "zh-Hant-TW"), ("es-419", "es-419")],
)
def test_a_language_tag_is_kept_in_its_usual_spelling(said: str, kept: str) -> None:
    assert rules.checked_locale(said) == kept


@pytest.mark.parametrize(
    "said", ["", "english", "en_GB", "xx-YY", "en-GB-x-private", "root", "../en", "en\n", "a" * 70]
)
def test_another_language_tag_is_refused(said: str) -> None:
    with pytest.raises(Invalid) as caught:
        rules.checked_locale(said)
    assert caught.value.fields[0].code == "unknown_locale"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "US/Pacific"])
def test_a_time_zone_is_one_of_the_database(zone: str) -> None:
    assert rules.checked_time_zone(zone) == zone


@pytest.mark.parametrize(
    "zone",
    ["", "europe/berlin", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Factory", "localtime", "GMT+25"],
)
def test_another_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(Invalid) as caught:
        rules.checked_time_zone(zone)
    assert caught.value.fields[0].code == "unknown_time_zone"


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        rules.changed_profile(ADA, wish(name=" ", locale="klingon", time_zone="Mars"))
    assert [problem.field for problem in caught.value.fields] == ["name", "locale", "time_zone"]


@pytest.mark.parametrize(
    "text",
    ["", "%%%", base64.b64encode(b"\x89PNG\r\n").decode(), base64.b64encode(b"RIFF1234WAVE").decode(),
     base64.b64encode(b"RIFF1234WEBP" + b"x" * AVATAR_MAX_BYTES).decode()],
)  # fmt: skip
def test_a_picture_that_the_edge_has_not_drawn_is_not_kept(text: str) -> None:
    with pytest.raises(Invalid):
        rules.checked_picture(text)
