"""Sign up, verify, first administrator, profile."""

from datetime import timedelta

import pytest

from prog_contracts.email import EmailSent, SendMail
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.profiles import UpdateProfile
from prog_contracts.users import (
    EmailVerified,
    EnsureAdministrator,
    RegisterUser,
    UserCreated,
    UserUpdated,
)
from prog_kit import secrets
from prog_kit.settings import PasswordHashing
from prog_workers.users import passwords
from tests.component.harness import Harness
from tests.component.users.people import Person, administrator, code


async def test_a_sign_up_makes_an_account_and_mails_a_link(platform: Harness, ada: Person) -> None:
    answer = await ada.sign_up(email=" Ada@EXAMPLE.com ", tenant_name="Engines Ltd")
    assert answer.status == "succeeded"
    assert answer.result is not None
    assert (answer.result["user_id"], answer.result["email"]) == (ada.user_id, "ada@example.com")
    assert [event.email_verified for event in await platform.events(UserCreated)] == [False]
    [mail] = await platform.events(SendMail)
    assert (mail.template, mail.to, mail.data) == ("verify_email", "ada@example.com", {"name": "Ada Lovelace"})


@pytest.mark.parametrize(("name", "parameters"), [("rfc9106", "m=65536,t=3,p=4"), ("owasp", "m=19456,t=2,p=1")])
@pytest.mark.usefixtures("strong_hashing")
async def test_check_01_the_password_is_kept_as_argon2id_of_the_strength_that_is_set(
    monkeypatch: pytest.MonkeyPatch, platform: Harness, ada: Person, name: PasswordHashing, parameters: str
) -> None:
    monkeypatch.setattr(passwords, "strength", name)
    await ada.sign_up()
    [row] = await platform.fetch("SELECT hash FROM users.passwords")
    assert row["hash"].startswith(f"$argon2id$v=19${parameters}$")


async def test_no_secret_is_stored_in_clear(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    tokens = await ada.tokens()
    [link] = await ada.mailed_tokens()
    dump = ""
    for table in ("users.users", "users.passwords", "users.link_tokens", "users.refresh_tokens", "users.signing_keys"):
        dump += str(await platform.fetch(f"SELECT * FROM {table}"))
    dump += str(await platform.fetch("SELECT convert_from(data, 'utf8') FROM bus.event_log"))
    dump += str(await platform.fetch("SELECT result, sealed_result, error FROM bus.inbox"))
    for secret in (ada.password, link, tokens.refresh_token, tokens.access_token):
        assert secret not in dump
    assert ada.user_id in dump, "the dump shows something"


async def test_a_known_address_gets_the_same_answer_and_no_second_account(platform: Harness, ada: Person) -> None:
    first = await ada.sign_up()
    stranger = Person(platform, name="Mallory")
    second = await stranger.sign_up(email="ADA@example.com")
    assert first.result is not None
    assert second.result is not None
    assert first.result.keys() == second.result.keys()
    assert second.result["user_id"] == stranger.user_id
    assert second.status == first.status
    rows = await platform.fetch("SELECT user_id, name FROM users.users")
    assert [(row["user_id"], row["name"]) for row in rows] == [(ada.user_id, "Ada Lovelace")]
    assert len(await platform.events(UserCreated)) == 1


async def test_everything_wrong_with_a_sign_up_is_told_at_once(platform: Harness, ada: Person) -> None:
    answer = await ada.sign_up(email="nowhere", name="  ", password="short")
    assert code(answer) == "invalid"
    assert answer.error is not None
    assert {(error.field, error.code) for error in answer.error.fields} == {
        ("email", "invalid_email"), ("name", "required"), ("password", "too_short"),
    }  # fmt: skip
    assert not await platform.fetch("SELECT FROM users.users")


async def test_a_link_verifies_once_and_says_so_when_opened_again(platform: Harness, ada: Person) -> None:
    await ada.sign_up(tenant_name="Engines Ltd")
    [token] = await ada.mailed_tokens()
    assert (await ada.open_link(token)).status == "succeeded"
    assert code(await ada.open_link(token)) == "already_verified"
    [event] = await platform.events(EmailVerified)
    assert (event.user_id, event.tenant_name) == (ada.user_id, "Engines Ltd")


async def test_a_link_is_worthless_after_a_day(platform: Harness, ada: Person) -> None:
    await ada.sign_up()
    [token] = await ada.mailed_tokens()
    platform.clock.at += timedelta(hours=24)
    answer = await ada.open_link(token)
    assert answer.error is not None
    assert [error.code for error in answer.error.fields] == ["token_invalid"]


async def test_what_is_no_token_verifies_nothing(platform: Harness, ada: Person) -> None:
    await ada.sign_up()
    for token in ("", f"prog_verify_{'x' * 43}", "x" * 10_000, f"prog_invite_{'0' * 26}_{'x' * 43}"):
        assert code(await ada.open_link(token)) == "invalid"
    assert not await platform.events(EmailVerified)


async def test_a_new_link_is_mailed_at_most_once_a_minute(platform: Harness, ada: Person) -> None:
    await ada.sign_up()
    soon = await ada.ask_again()
    platform.clock.at += timedelta(seconds=60)
    later = await ada.ask_again()
    assert soon.result == later.result == {"status": "accepted"}
    first, second = await ada.mailed_tokens()
    assert (await ada.open_link(second)).status == "succeeded"
    assert code(await ada.open_link(first)) == "invalid"


async def test_asking_for_a_link_answers_alike_for_strangers(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    platform.clock.at += timedelta(hours=1)
    verified = await ada.ask_again()
    unknown = await Person(platform, email="nobody@example.com").ask_again()
    assert verified.result == unknown.result
    assert len(await platform.events(SendMail)) == 1


async def test_the_sign_up_whose_link_is_opened_is_the_one_that_counts(platform: Harness, ada: Person) -> None:
    """Whoever signs a stranger's address up first must not own the account once the stranger verifies it."""
    mallory = Person(platform, name="Mallory", password="the attacker's choice")
    await mallory.sign_up(tenant_name="Trap")
    platform.clock.at += timedelta(minutes=5)
    await ada.sign_up(tenant_name="Engines Ltd")
    _, link_of_ada = await ada.mailed_tokens()
    assert (await ada.open_link(link_of_ada)).status == "succeeded"
    assert (await ada.sign_in()).status == "succeeded"
    assert code(await ada.sign_in(password=mallory.password)) == "invalid_credentials"
    [event] = await platform.events(EmailVerified)
    assert (event.name, event.tenant_name) == ("Ada Lovelace", "Engines Ltd")


async def test_the_administrator_is_made_once_and_counts_as_verified(platform: Harness) -> None:
    root = await administrator(platform)
    again = await platform.request(
        EnsureAdministrator(
            user_id=new_id("user"),
            email=root.email,
            name="Root",
            sealed_password=platform.seal("another password", secrets.PASSWORD),
        ),
        actor="prog-up",
    )
    assert again.result == {"user_id": root.user_id, "created": False}
    [event] = await platform.events(UserCreated)
    assert (event.platform_role, event.email_verified) == ("operator", True)
    assert (await root.tokens()).platform_role == "operator"


async def test_no_person_makes_an_administrator(platform: Harness) -> None:
    for actor in (None, new_id("user")):
        sealed = platform.seal("a fine password", secrets.PASSWORD)
        command = EnsureAdministrator(user_id=new_id("user"), email="m@example.com", name="M", sealed_password=sealed)
        assert code(await platform.request(command, actor=actor)) == "not_permitted"


async def test_a_person_changes_the_own_name_and_nobody_elses(platform: Harness, ada: Person) -> None:
    await ada.become_verified()
    command = UpdateProfile(user_id=ada.user_id, name="Countess Lovelace")
    assert code(await platform.request(command, actor=new_id("user"))) == "not_permitted"
    assert code(await platform.request(command)) == "not_permitted"
    assert (await platform.request(command, actor=ada.user_id)).status == "succeeded"
    root = await administrator(platform)
    assert (await platform.request(command, actor=root.user_id)).status == "succeeded"
    assert [event.changed for event in await platform.events(UserUpdated)] == [("name",)], "the second changed nothing"


async def test_the_verification_mail_that_went_out_is_noted(platform: Harness, ada: Person) -> None:
    await ada.sign_up()
    [mail] = await platform.events(SendMail)
    sent = EmailSent(
        mail_id=mail.mail_id, template="verify_email", to=ada.email, subject_line="Verify",
        occurred_at=platform.clock.at, provider="smtp",
    )  # fmt: skip
    await platform.publish(sent, tenant_id=PLATFORM_TENANT_ID)
    [row] = await platform.fetch("SELECT verification_mail_sent_at FROM users.users")
    assert row["verification_mail_sent_at"] == platform.clock.at


async def test_a_secret_sealed_for_another_purpose_is_refused(platform: Harness, ada: Person) -> None:
    sealed = platform.seal(ada.password, secrets.TOKEN)
    command = RegisterUser(user_id=ada.user_id, email=ada.email, name=ada.name, sealed_password=sealed)
    answer = await platform.request(command)
    assert answer.error is not None
    assert answer.error.fields[0].code == "unreadable_secret"
