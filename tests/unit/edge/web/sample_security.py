"""Sample data behind the security page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from markupsafe import Markup
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, Invalid, NotFound
from prog_edge.qr import qr_svg
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
from tests.unit.edge.web.sample_console import sample_id

ORIGIN = "http://localhost:8000"
MADE = '{"response": {}}'
SIGNED = '{"response": {"userHandle": "AAAA"}}'
CODES = tuple(f"4x7k-q2mp-9dc{number}" for number in range(10))
FACTOR = SecondFactorView(datetime(2026, 10, 1, tzinfo=UTC), 8, datetime(2026, 10, 1, tzinfo=UTC))
_URI = "otpauth://totp/ProgNetwork:ada%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=ProgNetwork"
ENROLMENT = EnrolmentView("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", _URI, Markup(qr_svg(_URI)), "kept")


SEPTEMBER, OCTOBER = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
PASSKEYS = (
    PasskeyView(sample_id("passkey", 1), "Phone", True, SEPTEMBER, OCTOBER),
    PasskeyView(sample_id("passkey", 2), "Security key", False, SEPTEMBER, None),
)
BY_PASSKEY = SecondFactorView(None, 10, SEPTEMBER)
TO_SIGN = PasskeyOffer("offered", '{"challenge": "AAAA", "rpId": "localhost", "userVerification": "required"}', ORIGIN)
TO_MAKE = PasskeyOffer(
    "offered",
    '{"challenge": "AAAA", "rp": {"id": "localhost", "name": "ProgNetwork"}, "user": {"id": "AAAA", "name": "ada",'
    ' "displayName": "Ada"}, "pubKeyCredParams": [{"type": "public-key", "alg": -7},'
    ' {"type": "public-key", "alg": -8}, {"type": "public-key", "alg": -257}]}',
    ORIGIN,
)


@dataclass
class SampleSecurity:
    """`factor` is what the viewer has; `fresh` says whether the sign-in was just now."""

    factor: SecondFactorView | None = None
    fresh: bool = True
    kept: list[PasskeyView] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    needed: Sequence[OwnedAlone] = ()

    async def second_factor(self, viewer: Viewer) -> SecondFactorView | None:
        return self.factor

    async def start_enrolment(self, viewer: Viewer, *, idempotency_key: str) -> EnrolmentView:
        self._need_fresh()
        return ENROLMENT

    def enrolment(self, viewer: Viewer, kept: str) -> EnrolmentView | None:
        return ENROLMENT if kept == ENROLMENT.kept else None

    async def confirm_enrolment(
        self, viewer: Viewer, *, code: str, client: Client, idempotency_key: str
    ) -> Sequence[str]:
        if code != "123456":
            raise Denied.field("code", "invalid_code", "This code is not good.")
        return () if self.factor else CODES

    async def make_recovery_codes(self, viewer: Viewer, *, client: Client, idempotency_key: str) -> Sequence[str]:
        self._need_fresh()
        return CODES

    async def remove_second_factor(self, viewer: Viewer, *, client: Client) -> None:
        self._need_fresh()
        self.factor = None

    async def passkeys(self, viewer: Viewer) -> Sequence[PasskeyView]:
        return self.kept

    async def passkey_offer(self, viewer: Viewer) -> PasskeyOffer:
        self._need_fresh()
        return TO_MAKE

    async def add_passkey(
        self, viewer: Viewer, *, name: str, token: str, credential: str, client: Client, idempotency_key: str
    ) -> Sequence[str]:
        self._need_fresh()
        if not name:
            raise Invalid.field("name", "required", "Enter a name.")
        if token != TO_MAKE.token:
            raise Denied("That took too long. Try again.", code="passkey_challenge_over")
        if credential != MADE:
            raise Invalid.field("credential", "passkey_not_usable", "This passkey cannot be used.")
        self.kept.append(PasskeyView(sample_id("passkey", 9), name, True, OCTOBER, None))
        had, self.factor = self.factor, self.factor or BY_PASSKEY
        return () if had else CODES

    async def facts_of(self, viewer: Viewer, user_id: str) -> PersonFacts:
        if user_id == sample_id("user", 404):
            raise NotFound("There is no such user.", code="user_not_found")
        has = self.factor or SecondFactorView(None, 0, None)
        tenants = (
            Membership(sample_id("tenant", 7), "Analytical Engines", "active", "admin", SEPTEMBER),
            Membership(sample_id("tenant", 8), "Cambridge Looms", "suspended", "member", OCTOBER),
        )
        return PersonFacts(
            user_id,
            "Grace Hopper",
            "grace@example.com",
            True,
            "active",
            None,
            SEPTEMBER,
            has.enrolled_at,
            len(self.kept),
            user_id == viewer.user_id,
            tenants,
        )

    async def reset_second_factor(self, viewer: Viewer, user_id: str, *, reason: str, idempotency_key: str) -> None:
        self._need_fresh()
        if not reason:
            raise Invalid.field("reason", "required", "Say why, in 500 characters at most: it is recorded.")
        if self.factor is None:
            raise NotFound("There is no second factor.", code="no_second_factor")
        self.factor, self.kept = None, []
        self.changed.append(f"{user_id}: {reason}")

    async def rename_passkey(self, viewer: Viewer, passkey_id: str, name: str) -> None:
        if not name:
            raise Invalid.field("name", "required", "Enter a name.")
        self.kept = [replace(item, name=name) if item.id == passkey_id else item for item in self.kept]

    async def remove_passkey(self, viewer: Viewer, passkey_id: str, *, client: Client) -> None:
        self._need_fresh()
        self.kept = [item for item in self.kept if item.id != passkey_id]

    async def change_password(
        self, viewer: Viewer, *, current_password: str, password: str, client: Client, idempotency_key: str
    ) -> None:
        if current_password != "correct horse battery":
            raise Denied.field("current_password", "wrong", "This is not your password.")
        if len(password) < 8:
            raise Invalid.field("password", "too_short", "A password has 8 characters or more.")
        self.changed.append(password)

    async def needed_by(self, viewer: Viewer) -> Sequence[OwnedAlone]:
        return self.needed

    async def delete_account(self, viewer: Viewer, *, idempotency_key: str) -> datetime:
        self._need_fresh()
        if self.needed:
            raise Conflict("There is no other owner.", code="last_owner")
        self.changed.append("deleted")
        return datetime(2026, 12, 10, tzinfo=UTC)

    async def restore_account(self, viewer: Viewer, *, idempotency_key: str) -> None:
        self.changed.append("restored")

    async def export(self, viewer: Viewer, *, client: Client, idempotency_key: str) -> Response:
        self._need_fresh()
        if "exported" in self.changed:
            raise Conflict("You took your data along just now. Try again in a minute.", code="exported_just_now")
        self.changed.append("exported")
        return Response(b"zip", media_type="application/zip")

    async def activity(self, viewer: Viewer, cursor: str | None) -> Page[ActivityEntry]:
        if cursor not in (None, "older"):
            raise Invalid("This cursor is of another list.", code="invalid_cursor")
        at = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
        rows = [
            ActivityEntry(at, "Signed in", "you", "success", 1, "192.0.2.7", "Firefox on Windows"),
            ActivityEntry(at, "Password changed", "you", "denial", 3, "192.0.2.7", None),
            ActivityEntry(at, "Two-step verification changed", "an operator of the platform", "success", 1, None, None),
        ]
        return Page(rows if cursor is None else [], "older" if cursor is None else None)

    def _need_fresh(self) -> None:
        if not self.fresh:
            raise Denied("Sign in again first.", code="fresh_sign_in_required")
