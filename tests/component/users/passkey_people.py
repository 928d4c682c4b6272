"""What people do with passkeys, as short calls on a platform with the users domain."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from prog_broker.replies import Answer
from prog_contracts.accounts import PasskeyAdded, SecondFactorNeeded, TokenSet
from prog_contracts.ids import new_id
from prog_contracts.passkeys import AddPasskey, PasskeyAnswer, RemovePasskey, RenamePasskey, SignInByPasskey
from prog_edge.passkeys import Offer, PasskeyOffers, user_of_handle
from prog_kit.passkeys import Purpose, RelyingParty, bound_to_sign_in
from tests.authenticator import Authenticator
from tests.component.users.people import Person

PARTY = RelyingParty("localhost", ("http://localhost:8000",))


@dataclass
class PasskeyPerson(Person):
    """Somebody with a device that makes passkeys."""

    device: Authenticator = field(default_factory=Authenticator)

    @property
    def offers(self) -> PasskeyOffers:
        """The edge's, by the platform's clock."""
        return PasskeyOffers(PARTY, self.platform.sealer, self.platform.clock.now)

    def to_make(self, by: TokenSet) -> Offer:
        return self.offers.to_make(self.user_id, self.email, self.name, by.session_id, [])

    def to_sign(self, purpose: Purpose = "sign_in", bound_to: str = "") -> Offer:
        return self.offers.to_sign(purpose, bound_to)

    async def add_passkey(self, by: TokenSet, offer: Offer | None = None, **wrong: Any) -> Answer:
        asked = offer or self.to_make(by)
        return await self.keep(by, asked, json.dumps(self.device.make(asked.public_key, **wrong)))

    async def keep(self, by: TokenSet, offer: Offer, credential: str) -> Answer:
        command = AddPasskey(
            user_id=self.user_id,
            by_session_id=by.session_id,
            passkey_id=new_id("passkey"),
            name="Phone",
            sealed_answer=self.offers.sealed_answer(offer.token, credential),
            client_address="192.0.2.7",
        )
        return await self.platform.request(command, actor=self.user_id)

    async def has_passkey(self) -> PasskeyAdded:
        """Makes a first passkey in a session opened with the password."""
        added = await self.add_passkey(await self.tokens())
        assert added.status == "succeeded", added
        return PasskeyAdded.model_validate(added.result)

    async def rename_passkey(self, passkey_id: str, name: str, *, actor: str | None = None) -> Answer:
        command = RenamePasskey(user_id=self.user_id, passkey_id=passkey_id, name=name)
        return await self.platform.request(command, actor=actor or self.user_id)

    async def remove_passkey(self, by: TokenSet, passkey_id: str, *, actor: str | None = None) -> Answer:
        command = RemovePasskey(user_id=self.user_id, by_session_id=by.session_id, passkey_id=passkey_id)
        return await self.platform.request(command, actor=actor or self.user_id)

    async def sign_in_with_passkey(self, offer: Offer | None = None, *, bound_to: str = "", **wrong: Any) -> Answer:
        asked = offer or self.to_sign(bound_to=bound_to)
        return await self.answer(asked, self.device.sign(asked.public_key, **wrong), bound_to=bound_to)

    async def answer(self, offer: Offer, credential: dict[str, Any], *, bound_to: str = "") -> Answer:
        command = SignInByPasskey(
            user_id=user_of_handle(credential["response"]["userHandle"]) or "",
            sealed_answer=self.offers.sealed_answer(offer.token, json.dumps(credential)),
            bound_to=bound_to,
            client_address="192.0.2.7",
            user_agent="T",
        )
        return await self.platform.request(command)

    async def tokens_with_passkey(self) -> TokenSet:
        answer = await self.sign_in_with_passkey()
        assert answer.status == "succeeded", answer
        return TokenSet.model_validate(answer.result)

    async def complete_with_passkey(self, pending: SecondFactorNeeded, offer: Offer | None = None) -> Answer:
        asked = offer or self.to_sign("second_step", bound_to_sign_in(pending.mfa_token))
        return await self.complete(pending, self.proof(asked), "passkey")

    async def step_up_with_passkey(self, by: TokenSet, offer: Offer | None = None) -> Answer:
        return await self.step_up(by, self.proof(offer or self.to_sign("step_up", by.session_id)), "passkey")

    def proof(self, offer: Offer) -> str:
        """What a sealed field carries of an answer."""
        credential = json.dumps(self.device.sign(offer.public_key))
        return PasskeyAnswer(token=offer.token, credential=credential).model_dump_json()
