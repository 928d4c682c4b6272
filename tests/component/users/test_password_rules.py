"""What may become a password, wherever one is chosen. `check_N` names the security review's check that a test holds."""

from dataclasses import dataclass

import pytest

from prog_broker.replies import Answer
from prog_workers.users import passwords
from prog_workers.users.strength import BreachedPasswords, ServiceAway
from tests.component.harness import Harness
from tests.component.users.people import Person, code


@dataclass
class Known(BreachedPasswords):
    """A service that knows one password, or is away."""

    url: str = "http://127.0.0.1/"
    password: str | None = None

    async def has(self, password: str) -> bool:
        if self.password is None:
            raise ServiceAway
        return password == self.password


def field_codes(answer: Answer) -> list[tuple[str, str]]:
    assert answer.error is not None, answer
    return [(problem.field, problem.code) for problem in answer.error.fields]


async def test_check_02_nothing_is_cut_off_or_trimmed(platform: Harness, ada: Person) -> None:
    ada.password = "  a sentence with room around it \t" + "and more " * 100 + "end"
    await ada.become_verified()
    for other in (ada.password.strip(), ada.password[:-1], ada.password[:72], ada.password.lower() + " "):
        assert code(await ada.sign_in(password=other)) == "invalid_credentials"
    assert (await ada.sign_in()).status == "succeeded"


async def test_check_02_one_that_is_too_long_is_refused_before_anything_is_computed(
    platform: Harness, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ada.become_verified()
    await ada.forget()
    token = (await ada.mailed_tokens())[-1]
    monkeypatch.setattr(passwords, "_threads", None)
    answers = [
        await Person(platform, email="other@example.com").sign_up(password="kV9 " * 257),
        await ada.reset(token, "kV9 " * 257),
    ]
    assert [field_codes(answer) for answer in answers] == [[("password", "too_long")]] * 2


@pytest.mark.parametrize("password", ["password1", "Ada Lovelace", "Ｐassword１"])
async def test_check_03_what_is_guessed_first_is_refused_at_sign_up_and_reset(
    platform: Harness, ada: Person, password: str
) -> None:
    assert field_codes(await ada.sign_up(password=password)) == [("password", "too_common")]
    await ada.become_verified()
    await ada.forget()
    token = (await ada.mailed_tokens())[-1]
    assert field_codes(await ada.reset(token, password)) == [("password", "too_common")]
    assert (await ada.reset(token, "a wholly different sentence")).status == "succeeded"


async def test_check_03_a_breached_password_is_refused_in_whatever_form_it_is_typed(
    platform: Harness, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "breached", Known(password="mot de passe caf\u00e9"))
    assert field_codes(await ada.sign_up(password="mot de passe cafe\u0301")) == [("password", "breached")]
    assert (await ada.sign_up(password="mot de passe inconnu")).status == "succeeded"


async def test_check_03_where_an_outage_refuses_people_are_told_to_try_again(
    platform: Harness, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "breached", Known())
    assert field_codes(await ada.sign_up()) == [("password", "breach_check_unavailable")]
