"""Who is looking, how a list is asked for and answered, and what more than one client shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import Generic, Literal, Protocol, TypeVar

from prog_contracts.actors import actor_of_impersonation
from prog_contracts.money import Money
from prog_contracts.payments import Interval
from prog_contracts.profiles import Theme
from prog_contracts.users import PlatformRole, SecondFactor

Row = TypeVar("Row")


class StillWorking(Exception):
    """The command outlived the wait. It is durable; `operation_id` names it in `/v1/operations/{id}`."""

    def __init__(self, operation_id: str) -> None:
        super().__init__(f"operation {operation_id} is still running")
        self.operation_id = operation_id


@dataclass(frozen=True, slots=True)
class Acting:
    """The operator who acts in the viewer's name, why, and when it is over at the latest."""

    impersonation_id: str
    operator_id: str
    reason: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Viewer:
    """The signed-in person behind a request; with `acting`, the one in whose name an operator looks."""

    user_id: str
    email: str
    name: str
    session_id: str
    platform_role: PlatformRole | None = None
    signed_in_until: float = inf
    """When the credential of this request runs out, in epoch seconds: no live stream goes on longer."""
    erase_at: datetime | None = None
    """When the account is deleted, unless it is restored before."""
    time_zone: str | None = None
    theme: Theme | None = None
    picture: str | None = None
    """The path of the picture that they are shown by."""
    acting: Acting | None = None

    @property
    def actor(self) -> str:
        """Who asks, as the log tells it."""
        return self.user_id if self.acting is None else actor_of_impersonation(self.user_id, self.acting.operator_id)

    @property
    def client(self) -> str:
        """Whose quota a request uses up."""
        return self.user_id if self.acting is None else self.acting.operator_id

    @property
    def is_operator(self) -> bool:
        return self.platform_role == "operator"


@dataclass(frozen=True, slots=True)
class Client:
    """Where a sign-in comes from; kept with the session."""

    address: str | None
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """The value to keep in the browser: opaque here, sealed by whoever made it."""

    value: str
    max_age_seconds: int


@dataclass(frozen=True, slots=True)
class SecondStep:
    """A sign-in that waits for the second factor: the cookie that keeps it meanwhile."""

    cookie: SessionCookie


@dataclass(frozen=True, slots=True)
class PasskeyOffer:
    """What a page asks an authenticator: `options` for the browser, as JSON, and a token to come back with the answer.

    `origin` is an address whose pages may ask, for people who are at another one.
    """

    token: str
    options: str
    origin: str


@dataclass(frozen=True, slots=True)
class OpenSession:
    """`renewed` is set when the tokens inside were refreshed and the browser must keep a new value."""

    viewer: Viewer
    renewed: SessionCookie | None = None


class Sessions(Protocol):
    """Browser sessions: the access and refresh tokens sealed into one cookie."""

    @property
    def cookie_name(self) -> str: ...

    @property
    def second_step_cookie_name(self) -> str: ...

    async def open(self, cookie: str) -> OpenSession | None:
        """The session in a cookie; None when it is forged, over or revoked. Never raises for a bad cookie."""
        ...

    async def sign_in(self, email: str, password: str, client: Client) -> SessionCookie | SecondStep:
        """Raises `Denied` with code `unverified` before the address is verified, `Denied` otherwise."""
        ...

    async def sign_in_by_link(self, token: str, client: Client) -> SessionCookie | SecondStep:
        """Raises `Invalid` on `token` when the link is not good any more."""
        ...

    def passkey_offer(self, browser: str) -> PasskeyOffer:
        """To sign in with any passkey; `browser` is a secret of the one that asks, which alone may answer."""
        ...

    async def sign_in_by_passkey(self, token: str, credential: str, browser: str, client: Client) -> SessionCookie:
        """Raises `Denied` with code `invalid_passkey`, or `passkey_challenge_over` for an offer that is over."""
        ...

    def second_step_offer(self, cookie: str) -> PasskeyOffer | None:
        """To complete a sign-in with a passkey; None for a cookie that keeps none."""
        ...

    async def step_up_offer(self, viewer: Viewer) -> PasskeyOffer | None:
        """To step up with a passkey of the viewer's; None without one."""
        ...

    def second_step(self, cookie: str) -> Sequence[SecondFactor] | None:
        """What a sign-in that waits may be completed with; None for a cookie that keeps none."""
        ...

    async def complete(self, cookie: str, method: SecondFactor, code: str, client: Client) -> SessionCookie:
        """Raises `Denied` with code `invalid_code` on `code`, or `sign_in_over` when it does not wait any more.

        For a passkey `code` is a `PasskeyAnswer` as JSON; so is `proof` in `step_up`.
        """
        ...

    async def step_up(
        self, viewer: Viewer, method: Literal["password"] | SecondFactor, proof: str, client: Client
    ) -> SessionCookie:
        """A session opened just now in place of the viewer's own. Raises `Denied` when the proof is wrong."""
        ...

    async def sign_out(self, cookie: str, *, successor: str | None = None) -> None:
        """`successor` is the cookie of a session that takes the place of this one."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """A price that can be bought. `features` are short lines for people, the most telling one first."""

    price_id: str
    name: str
    description: str
    price: Money
    interval: Interval
    interval_count: int = 1
    features: Sequence[str] = ()
    highlighted: bool = False


@dataclass(frozen=True, slots=True)
class ListQuery:
    """One page of a list, newest first. `filters` holds only the names that the list's page offers."""

    search: str = ""
    filters: Mapping[str, str] = field(default_factory=dict)
    cursor: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows and the cursor of the next ones (keyset: it stays true while rows are added)."""

    rows: Sequence[Row]
    next_cursor: str | None = None
