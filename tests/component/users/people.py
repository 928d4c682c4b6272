"""What people do with their accounts, as short calls on a platform with the users domain."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

import pyotp

from prog_broker.replies import Answer
from prog_contracts.accounts import RecoveryCodes, SecondFactorNeeded, TokenSet, TotpEnrolment
from prog_contracts.credentials import user_of_pending_sign_in
from prog_contracts.email import SendMail
from prog_contracts.ids import new_id
from prog_contracts.second_factors import (
    CompleteSignIn,
    ConfirmTotpEnrolment,
    MakeRecoveryCodes,
    RemoveSecondFactor,
    StartTotpEnrolment,
    StepUp,
)
from prog_contracts.users import (
    Authenticate,
    ChangePassword,
    ConsumeMagicLink,
    EnsureAdministrator,
    RefreshSession,
    RegisterUser,
    RequestMagicLink,
    RequestPasswordReset,
    ResendVerification,
    ResetPassword,
    SecondFactor,
    VerifyEmail,
)
from prog_kit import secrets
from prog_workers.users import totp
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
    secret: str = ""

    async def sign_up(self, **changes: Any) -> Answer:
        values: dict[str, Any] = {"email": self.email, "name": self.name, "password": self.password, **changes}
        sealed = self.platform.seal(values.pop("password"), secrets.PASSWORD)
        return await self.platform.request(RegisterUser(user_id=self.user_id, sealed_password=sealed, **values))

    async def mailed_tokens(self) -> list[str]:
        """The tokens in the mails to this person, oldest first."""
        mails = [mail for mail in await self.platform.events(SendMail) if mail.to == self.email and mail.sealed_data]
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

    # -- the second factor ---------------------------------------------------------------------------------------------

    async def start_enrolment(self, by: TokenSet) -> Answer:
        command = StartTotpEnrolment(user_id=self.user_id, by_session_id=by.session_id)
        return await self.platform.request(command, actor=self.user_id)

    async def confirm_enrolment(self, by: TokenSet, code: str) -> Answer:
        sealed = self.platform.seal(code, secrets.CODE)
        command = ConfirmTotpEnrolment(user_id=self.user_id, by_session_id=by.session_id, sealed_code=sealed)
        return await self.platform.request(command, actor=self.user_id)

    async def enrol(self, by: TokenSet | None = None) -> tuple[str, ...]:
        """Sets up an authenticator app, which `app_code` stands for; the recovery codes."""
        session = by or await self.tokens()
        started = await self.start_enrolment(session)
        assert started.status == "succeeded", started
        self.secret = TotpEnrolment.model_validate(started.result).secret
        confirmed = await self.confirm_enrolment(session, self.app_code())
        assert confirmed.status == "succeeded", confirmed
        return RecoveryCodes.model_validate(confirmed.result).recovery_codes

    def app_code(self, steps_ahead: int = 0) -> str:
        """What the app shows now, or so many steps of its clock later."""
        return pyotp.TOTP(self.secret).generate_otp(totp.step_at(self.platform.clock.now()) + steps_ahead)

    async def pending(self) -> SecondFactorNeeded:
        answer = await self.sign_in()
        assert answer.status == "succeeded", answer
        return SecondFactorNeeded.model_validate(answer.result)

    async def complete(
        self, pending: SecondFactorNeeded, code: str, method: SecondFactor = "totp", *, user_id: str | None = None
    ) -> Answer:
        command = CompleteSignIn(
            user_id=user_id or user_of_pending_sign_in(pending.mfa_token) or "",
            sealed_token=self.platform.seal(pending.mfa_token, secrets.TOKEN),
            method=method,
            sealed_code=self.platform.seal(code, secrets.CODE),
            client_address="192.0.2.7",
            user_agent="T",
        )
        return await self.platform.request(command)

    async def next_step(self) -> None:
        """Until the app shows a code that was not used yet."""
        self.platform.clock.at += timedelta(seconds=totp.STEP_SECONDS)

    async def tokens_with_code(self) -> TokenSet:
        """Signs in with both factors, at the app's next code."""
        await self.next_step()
        answer = await self.complete(await self.pending(), self.app_code())
        assert answer.status == "succeeded", answer
        return TokenSet.model_validate(answer.result)

    async def step_up(
        self, by: TokenSet, proof: str, method: Literal["password"] | SecondFactor = "totp", *, actor: str | None = None
    ) -> Answer:
        purpose = secrets.PASSWORD if method == "password" else secrets.CODE
        command = StepUp(
            user_id=self.user_id,
            by_session_id=by.session_id,
            method=method,
            sealed_proof=self.platform.seal(proof, purpose),
        )
        return await self.platform.request(command, actor=actor or self.user_id)

    async def new_codes(self, by: TokenSet) -> Answer:
        command = MakeRecoveryCodes(user_id=self.user_id, by_session_id=by.session_id)
        return await self.platform.request(command, actor=self.user_id)

    async def remove_factor(self, by: TokenSet) -> Answer:
        command = RemoveSecondFactor(user_id=self.user_id, by_session_id=by.session_id)
        return await self.platform.request(command, actor=self.user_id)

    async def change_password(
        self, by: TokenSet, password: str, current: str | None = None, *, actor: str | None = None
    ) -> Answer:
        command = ChangePassword(
            user_id=self.user_id,
            by_session_id=by.session_id,
            sealed_password=self.platform.seal(password, secrets.PASSWORD),
            sealed_current_password=None if current is None else self.platform.seal(current, secrets.PASSWORD),
            client_address="192.0.2.7",
        )
        return await self.platform.request(command, actor=actor or self.user_id)

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
