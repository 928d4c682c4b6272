"""What people do with their accounts, as short calls on a platform with the users domain."""

from dataclasses import dataclass, field
from typing import Any

from prog_broker.replies import Answer
from prog_contracts.accounts import TokenSet
from prog_contracts.email import SendMail
from prog_contracts.ids import new_id
from prog_contracts.users import (
    Authenticate,
    ConsumeMagicLink,
    EnsureAdministrator,
    RefreshSession,
    RegisterUser,
    RequestMagicLink,
    RequestPasswordReset,
    ResendVerification,
    ResetPassword,
    VerifyEmail,
)
from prog_kit import secrets
from tests.component.harness import Harness

PASSWORD = "correct horse battery staple"


@dataclass
class Person:
    """Somebody in front of the platform."""

    platform: Harness
    email: str = "ada@example.com"
    name: str = "Ada Lovelace"
    password: str = PASSWORD
    user_id: str = field(default_factory=lambda: new_id("user"))

    async def sign_up(self, **changes: Any) -> Answer:
        values: dict[str, Any] = {"email": self.email, "name": self.name, "password": self.password, **changes}
        sealed = self.platform.seal(values.pop("password"), secrets.PASSWORD)
        return await self.platform.request(RegisterUser(user_id=self.user_id, sealed_password=sealed, **values))

    async def mailed_tokens(self) -> list[str]:
        """The tokens in the mails to this person, oldest first."""
        mails = [mail for mail in await self.platform.events(SendMail) if mail.to == self.email]
        return [self.platform.sealer.open(mail.sealed_data["token"], secrets.MAIL) for mail in mails]

    async def open_link(self, token: str) -> Answer:
        sealed = self.platform.seal(token, secrets.TOKEN)
        return await self.platform.request(VerifyEmail(sealed_token=sealed))

    async def ask_again(self) -> Answer:
        return await self.platform.request(ResendVerification(email=self.email))

    async def sign_in(self, password: str | None = None, email: str | None = None) -> Answer:
        sealed = self.platform.seal(self.password if password is None else password, secrets.PASSWORD)
        return await self.platform.request(
            Authenticate(email=email or self.email, sealed_password=sealed, client_address="192.0.2.7", user_agent="T")
        )

    async def tokens(self) -> TokenSet:
        answer = await self.sign_in()
        assert answer.status == "succeeded", answer
        return TokenSet.model_validate(answer.result)

    async def refresh(self, tokens: TokenSet, *, session_id: str | None = None) -> Answer:
        sealed = self.platform.seal(tokens.refresh_token, secrets.TOKEN)
        command = RefreshSession(session_id=session_id or tokens.session_id, sealed_refresh_token=sealed)
        return await self.platform.request(command)

    async def forget(self, email: str | None = None) -> Answer:
        return await self.platform.request(RequestPasswordReset(email=email or self.email, client_address="192.0.2.7"))

    async def ask_for_link(self, email: str | None = None) -> Answer:
        return await self.platform.request(RequestMagicLink(email=email or self.email, client_address="192.0.2.7"))

    async def sign_in_by_link(self, token: str) -> Answer:
        sealed = self.platform.seal(token, secrets.TOKEN)
        return await self.platform.request(
            ConsumeMagicLink(sealed_token=sealed, client_address="192.0.2.7", user_agent="T")
        )

    async def reset(self, token: str, password: str) -> Answer:
        return await self.platform.request(
            ResetPassword(
                sealed_token=self.platform.seal(token, secrets.TOKEN),
                sealed_password=self.platform.seal(password, secrets.PASSWORD),
                client_address="192.0.2.7",
            )
        )

    async def become_verified(self) -> None:
        await self.sign_up()
        answer = await self.open_link((await self.mailed_tokens())[-1])
        assert answer.status == "succeeded", answer


async def administrator(platform: Harness) -> Person:
    """The first operator of the platform."""
    person = Person(platform, email="root@example.com", name="Root")
    sealed = platform.seal(person.password, secrets.PASSWORD)
    command = EnsureAdministrator(user_id=person.user_id, email=person.email, name=person.name, sealed_password=sealed)
    answer = await platform.request(command, actor="prog-up")
    assert answer.status == "succeeded", answer
    return person


def code(answer: Answer) -> str:
    """The code of a refusal."""
    assert answer.status == "failed", answer
    assert answer.error is not None
    return answer.error.code
