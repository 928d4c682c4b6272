"""Sample data behind the security page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from markupsafe import Markup

from prog_contracts.errors import Denied, Invalid
from prog_edge.qr import qr_svg
from prog_edge.web.ports import Client, EnrolmentView, SecondFactorView, Viewer

CODES = tuple(f"4x7k-q2mp-9dc{number}" for number in range(10))
FACTOR = SecondFactorView(datetime(2026, 10, 1, tzinfo=UTC), 8, datetime(2026, 10, 1, tzinfo=UTC))
_URI = "otpauth://totp/ProgNetwork:ada%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=ProgNetwork"
ENROLMENT = EnrolmentView("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", _URI, Markup(qr_svg(_URI)), "kept")


@dataclass
class SampleSecurity:
    """`factor` is what the viewer has; `fresh` says whether the sign-in was just now."""

    factor: SecondFactorView | None = None
    fresh: bool = True
    changed: list[str] = field(default_factory=list)

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

    async def change_password(
        self, viewer: Viewer, *, current_password: str, password: str, client: Client, idempotency_key: str
    ) -> None:
        if current_password != "correct horse battery":
            raise Denied.field("current_password", "wrong", "This is not your password.")
        if len(password) < 8:
            raise Invalid.field("password", "too_short", "A password has 8 characters or more.")
        self.changed.append(password)

    def _need_fresh(self) -> None:
        if not self.fresh:
            raise Denied("Sign in again first.", code="fresh_sign_in_required")
