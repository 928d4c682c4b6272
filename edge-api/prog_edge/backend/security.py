"""Behind the security page: second factors, the change of one's password, and the account's end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import orjson
from markupsafe import Markup
from starlette.responses import Response

from prog_contracts.accounts import PasskeyAdded, RecoveryCodes, TotpEnrolment
from prog_contracts.erasure import DeleteUser, RestoreUser
from prog_contracts.errors import NotFound
from prog_contracts.exports import ExportUser
from prog_contracts.ids import PLATFORM_TENANT_ID, is_id, new_id
from prog_contracts.messages import Command
from prog_contracts.passkeys import AddPasskey, RemovePasskey, RenamePasskey
from prog_contracts.second_factors import (
    ConfirmTotpEnrolment,
    MakeRecoveryCodes,
    RemoveSecondFactor,
    ResetSecondFactor,
    StartTotpEnrolment,
)
from prog_contracts.users import ChangePassword
from prog_edge.activity import act_of
from prog_edge.backend.acts import ACTORS, in_words
from prog_edge.backend.sender import Sender
from prog_edge.backend.sessions import shown
from prog_edge.ending import needed_by, require_not_needed
from prog_edge.exporting import ExportResponse, require_room
from prog_edge.limits.attempts import claim_of_address
from prog_edge.platform import Platform
from prog_edge.qr import qr_svg
from prog_edge.stepping_up import require_fresh_sign_in
from prog_edge.web.ports import (
    ActivityEntry,
    Client,
    EnrolmentView,
    Membership,
    OwnedAlone,
    Page,
    PasskeyOffer,
    PasskeyView,
    PersonFacts,
    SecondFactorView,
    Viewer,
)
from prog_kit.secrets import CODE, PASSWORD, SECOND_STEP, SealError
from prog_workers.events import queries as events
from prog_workers.tenants import queries as tenants
from prog_workers.users import queries

MAX_TENANTS: Final = 500
"""Of a person, on their page of the console."""


class Security:
    """Implements `prog_edge.web.ports.SecurityBackend`."""

    def __init__(self, platform: Platform, sender: Sender) -> None:
        self._platform = platform
        self._sender = sender

    async def second_factor(self, viewer: Viewer) -> SecondFactorView | None:
        async with self._platform.database.scope(user_id=viewer.user_id) as connection:
            row = await queries.second_factor(connection, viewer.user_id)
        return None if row is None else SecondFactorView(row.enrolled_at, row.codes_left, row.codes_made_at)

    async def start_enrolment(self, viewer: Viewer, *, idempotency_key: str) -> EnrolmentView:
        command = StartTotpEnrolment(user_id=viewer.user_id, by_session_id=viewer.session_id)
        made = TotpEnrolment.model_validate(await self._ask(viewer, command, idempotency_key))
        return self._view(viewer, made.secret, made.otpauth_uri)

    def enrolment(self, viewer: Viewer, kept: str) -> EnrolmentView | None:
        try:
            user_id, secret, uri = orjson.loads(self._platform.sealer.open(kept, SECOND_STEP))
        except (SealError, ValueError):
            return None
        return self._view(viewer, secret, uri) if user_id == viewer.user_id else None

    async def confirm_enrolment(
        self, viewer: Viewer, *, code: str, client: Client, idempotency_key: str
    ) -> Sequence[str]:
        command = ConfirmTotpEnrolment(
            user_id=viewer.user_id,
            by_session_id=viewer.session_id,
            sealed_code=self._platform.sealer.seal(code, CODE),
            client_address=client.address,
        )
        return RecoveryCodes.model_validate(await self._ask(viewer, command, idempotency_key)).recovery_codes

    async def make_recovery_codes(self, viewer: Viewer, *, client: Client, idempotency_key: str) -> Sequence[str]:
        command = MakeRecoveryCodes(
            user_id=viewer.user_id, by_session_id=viewer.session_id, client_address=client.address
        )
        return RecoveryCodes.model_validate(await self._ask(viewer, command, idempotency_key)).recovery_codes

    async def remove_second_factor(self, viewer: Viewer, *, client: Client) -> None:
        command = RemoveSecondFactor(
            user_id=viewer.user_id, by_session_id=viewer.session_id, client_address=client.address
        )
        await self._sender.ask(command, tenant_id=PLATFORM_TENANT_ID, actor=viewer.user_id)

    async def passkeys(self, viewer: Viewer) -> Sequence[PasskeyView]:
        return [
            PasskeyView(row.passkey_id, row.name, row.backed_up, row.created_at, row.last_used_at)
            for row in await self._passkeys(viewer)
        ]

    async def passkey_offer(self, viewer: Viewer) -> PasskeyOffer:
        await require_fresh_sign_in(self._platform, viewer.user_id, viewer.session_id)
        offers, own = self._platform.passkeys, await self._passkeys(viewer)
        return shown(offers, offers.to_make(viewer.user_id, viewer.email, viewer.name, viewer.session_id, own))

    async def add_passkey(
        self, viewer: Viewer, *, name: str, token: str, credential: str, client: Client, idempotency_key: str
    ) -> Sequence[str]:
        command = AddPasskey(
            user_id=viewer.user_id,
            by_session_id=viewer.session_id,
            passkey_id=new_id("passkey"),
            name=name,
            sealed_answer=self._platform.passkeys.sealed_answer(token, credential),
            client_address=client.address,
        )
        return PasskeyAdded.model_validate(await self._ask(viewer, command, idempotency_key)).recovery_codes

    async def facts_of(self, viewer: Viewer, user_id: str) -> PersonFacts:
        async with self._platform.database.operator() as connection:
            row = await queries.user(connection, user_id)
            app_since, passkeys = await queries.second_factor_of(connection, user_id)
            memberships = (await tenants.tenants_of(connection, user_id, limit=MAX_TENANTS)).rows
        if row is None:
            raise NotFound("There is no such user.", code="user_not_found")
        return PersonFacts(
            id=row.user_id,
            name=row.name,
            email=row.email,
            email_verified=row.email_verified,
            status=row.status,
            platform_role=row.platform_role,
            created_at=row.created_at,
            app_since=app_since,
            passkeys=passkeys,
            own=row.user_id == viewer.user_id,
            tenants=[
                Membership(each.tenant_id, each.name, each.status, each.role, each.joined_at) for each in memberships
            ],
        )

    async def reset_second_factor(self, viewer: Viewer, user_id: str, *, reason: str, idempotency_key: str) -> None:
        if not (is_id(user_id) and user_id.startswith("user_")):
            raise NotFound("There is no such user.", code="user_not_found")
        command = ResetSecondFactor(user_id=user_id, reason=reason, by_session_id=viewer.session_id)
        await self._ask(viewer, command, idempotency_key)

    async def rename_passkey(self, viewer: Viewer, passkey_id: str, name: str) -> None:
        command = RenamePasskey(user_id=viewer.user_id, passkey_id=_checked(passkey_id), name=name)
        await self._sender.ask(command, tenant_id=PLATFORM_TENANT_ID, actor=viewer.user_id)

    async def remove_passkey(self, viewer: Viewer, passkey_id: str, *, client: Client) -> None:
        command = RemovePasskey(
            user_id=viewer.user_id,
            by_session_id=viewer.session_id,
            passkey_id=_checked(passkey_id),
            client_address=client.address,
        )
        await self._sender.ask(command, tenant_id=PLATFORM_TENANT_ID, actor=viewer.user_id)

    async def change_password(
        self, viewer: Viewer, *, current_password: str, password: str, client: Client, idempotency_key: str
    ) -> None:
        sealer = self._platform.sealer
        async with self._platform.database.scope(user_id=viewer.user_id) as connection:
            has_one = await queries.has_password(connection, viewer.user_id)
        command = ChangePassword(
            user_id=viewer.user_id,
            by_session_id=viewer.session_id,
            sealed_password=sealer.seal(password, PASSWORD),
            sealed_current_password=sealer.seal(current_password, PASSWORD) if has_one else None,
            client_address=client.address,
        )
        claim = claim_of_address(sealer, viewer.email)
        async with self._platform.attempts.attempt(claim, client.address) as attempt:
            await self._ask(viewer, command, idempotency_key)
            attempt.outcome = "right"

    async def needed_by(self, viewer: Viewer) -> Sequence[OwnedAlone]:
        return [OwnedAlone(row.tenant_id, row.name) for row in await needed_by(self._platform, viewer.user_id)]

    async def delete_account(self, viewer: Viewer, *, idempotency_key: str) -> datetime:
        await require_fresh_sign_in(self._platform, viewer.user_id, viewer.session_id)
        await require_not_needed(self._platform, viewer.user_id)
        command = DeleteUser(user_id=viewer.user_id, by_session_id=viewer.session_id)
        result = await self._ask(viewer, command, idempotency_key)
        self._platform.people.forget(viewer.user_id)
        return datetime.fromisoformat(str(result["erase_at"]))

    async def restore_account(self, viewer: Viewer, *, idempotency_key: str) -> None:
        await self._ask(viewer, RestoreUser(user_id=viewer.user_id), idempotency_key)
        self._platform.people.forget(viewer.user_id)

    async def export(self, viewer: Viewer, *, client: Client, idempotency_key: str) -> Response:
        await require_fresh_sign_in(self._platform, viewer.user_id, viewer.session_id)
        await require_room(self._platform, viewer.user_id)
        command = ExportUser(user_id=viewer.user_id, by_session_id=viewer.session_id, client_address=client.address)
        await self._ask(viewer, command, idempotency_key)
        return ExportResponse(self._platform, viewer.user_id)

    async def activity(self, viewer: Viewer, cursor: str | None) -> Page[ActivityEntry]:
        async with self._platform.database.scope(user_id=viewer.user_id) as connection:
            page = await events.activity(connection, viewer.user_id, cursor=cursor)
        found = [
            ActivityEntry(
                at=entry.at,
                text=in_words(entry.action),
                by=ACTORS[entry.by],
                outcome=entry.outcome,
                count=entry.count,
                client_address=entry.client_address,
                device=entry.device,
            )
            for entry in (act_of(row, viewer.user_id) for row in page.rows)
        ]
        return Page(found, page.next_cursor)

    async def _ask(self, viewer: Viewer, command: Command, idempotency_key: str) -> dict[str, object]:
        return await self._sender.ask(
            command, tenant_id=PLATFORM_TENANT_ID, actor=viewer.user_id, idempotency_key=idempotency_key
        )

    async def _passkeys(self, viewer: Viewer) -> Sequence[queries.PasskeyRow]:
        async with self._platform.database.scope(user_id=viewer.user_id) as connection:
            return await queries.passkeys(connection, viewer.user_id)

    def _view(self, viewer: Viewer, secret: str, uri: str) -> EnrolmentView:
        text = orjson.dumps([viewer.user_id, secret, uri]).decode()
        svg = Markup(qr_svg(uri))  # noqa: S704 - drawn here, of squares alone
        return EnrolmentView(secret, uri, svg, self._platform.sealer.seal(text, SECOND_STEP))


def _checked(passkey_id: str) -> str:
    """The id, if it is one. Raises NotFound for another text."""
    if not (is_id(passkey_id) and passkey_id.startswith("passkey_")):
        raise NotFound("There is no such passkey.", code="passkey_not_found")
    return passkey_id
