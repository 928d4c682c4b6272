"""Behind the security page: second factors and the change of one's password."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from markupsafe import Markup

from prog_contracts.accounts import RecoveryCodes, TotpEnrolment
from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.messages import Command
from prog_contracts.second_factors import (
    ConfirmTotpEnrolment,
    MakeRecoveryCodes,
    RemoveSecondFactor,
    StartTotpEnrolment,
)
from prog_contracts.users import ChangePassword
from prog_edge.backend.sender import Sender
from prog_edge.limits.attempts import claim_of_address
from prog_edge.platform import Platform
from prog_edge.qr import qr_svg
from prog_edge.web.ports import Client, EnrolmentView, SecondFactorView, Viewer
from prog_kit.secrets import CODE, PASSWORD, SECOND_STEP, SealError
from prog_workers.users import queries


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

    async def _ask(self, viewer: Viewer, command: Command, idempotency_key: str) -> dict[str, object]:
        return await self._sender.ask(
            command, tenant_id=PLATFORM_TENANT_ID, actor=viewer.user_id, idempotency_key=idempotency_key
        )

    def _view(self, viewer: Viewer, secret: str, uri: str) -> EnrolmentView:
        text = orjson.dumps([viewer.user_id, secret, uri]).decode()
        svg = Markup(qr_svg(uri))  # noqa: S704 - drawn here, of squares alone
        return EnrolmentView(secret, uri, svg, self._platform.sealer.seal(text, SECOND_STEP))
