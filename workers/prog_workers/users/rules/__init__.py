"""Decisions of the users domain: values and an instant in, values out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol

from prog_contracts.errors import FieldError, Invalid, ProgError
from prog_contracts.inputs import clean_name, normalize_email
from prog_contracts.permissions import SCOPES
from prog_contracts.users import PlatformRole, SecondFactor, SignInMethod
from prog_workers.users import errors

PASSWORD_MIN_LENGTH: Final = 8
PASSWORD_MAX_LENGTH: Final = 1024
TENANT_NAME_MAX_LENGTH: Final = 80

VERIFICATION_LIFETIME: Final = timedelta(hours=24)
RESET_LIFETIME: Final = timedelta(minutes=30)
MAGIC_LINK_LIFETIME: Final = timedelta(minutes=10)
"""ASVS 5.0, 6.5.5: links that sign in are good for ten minutes at the most."""
MAIL_INTERVAL: Final = timedelta(seconds=60)
"""An address gets one mail of a kind in this time at the most, however often somebody asks."""

ACCESS_LIFETIME: Final = timedelta(minutes=15)
SESSION_IDLE_LIFETIME: Final = timedelta(days=14)
SESSION_LIFETIME: Final = timedelta(days=90)
CREDENTIALS_KEPT: Final = timedelta(days=30)
"""What has ended stays this long: a link opened again is explained, and a person or an operator sees past sessions."""
STEP_UP_LIFETIME: Final = timedelta(minutes=10)
"""For so long after a sign-in its session may do what asks for a person who is there now: see `is_fresh`."""
PENDING_SIGN_IN_LIFETIME: Final = timedelta(minutes=5)
"""For so long a first factor waits for the second one."""
MAX_WRONG_CODES: Final = 5
"""So many wrong codes end a sign-in that waits, whatever is counted elsewhere."""
GUESSES_TOLD: Final = 10
"""So many wrong codes within `GUESSES_WINDOW` are more than somebody mistypes: the person is told."""
GUESSES_WINDOW: Final = timedelta(days=1)
CLOCK_SKEW: Final = timedelta(minutes=1)
IDENTITY_LIFETIME: Final = timedelta(minutes=10)
"""For so long what a provider told counts as told just now: time to prove the account that it is to be linked with."""
DELETION_GRACE: Final = timedelta(days=14)
"""So long a deletion can be taken back: with what follows, it is done well within the month that the GDPR gives."""
EXPORT_INTERVAL: Final = timedelta(minutes=1)
"""Taking all of one's data along reads much, so it is done so often at the most."""
FORGOTTEN_AFTER: Final = timedelta(days=1)
"""So long after an account has gone its last mail may take, and what is tried again."""
ENROLMENT_LIFETIME: Final = timedelta(minutes=15)
PASSKEYS_MAX: Final = 20
PASSKEY_NAME_MAX_LENGTH: Final = 60
REASON_MAX_LENGTH: Final = 500
REFRESH_GRACE: Final = timedelta(seconds=10)
"""Two tabs may send one refresh token at once; both then get the same successor."""
GRACE_GENERATIONS: Final = 3
AUDIENCE: Final = "prognetwork"

API_KEYS_MAX: Final = 100
"""Keys of a tenant that are good at one time."""
API_KEY_GRACE_MAX: Final = timedelta(days=7)
API_KEY_USE_INTERVAL: Final = timedelta(minutes=1)
"""The last use of a key is noted so often at the most."""

AccountStatus = Literal["active", "disabled"]


@dataclass(frozen=True, slots=True)
class SignUp:
    """What somebody gave at sign-up, in the form that is kept."""

    email: str
    name: str
    password: str
    tenant_name: str | None = None


def checked_sign_up(email: str, name: str, password: str, tenant_name: str | None = None) -> SignUp:
    """The sign-up in its kept form. Raises Invalid with everything that is wrong with it."""
    problems: list[FieldError] = []
    clean_email = collect(problems, lambda: normalize_email(email))
    clean = collect(problems, lambda: clean_name(name))
    wanted = (tenant_name or "").strip()
    if wanted:
        wanted = collect(problems, lambda: clean_name(wanted, "tenant_name", TENANT_NAME_MAX_LENGTH))
    problems += password_problems(password, clean_email or email)
    if problems:
        raise Invalid(problems[0].message, fields=problems)
    return SignUp(clean_email, clean, password, wanted or None)


def password_problems(password: str, email: str) -> list[FieldError]:
    """What is wrong with a new password. Any characters are good; nothing is cut off or trimmed (ASVS 5.0, 6.2)."""

    def problem(code: str, message: str) -> list[FieldError]:
        return [FieldError(field="password", code=code, message=message)]

    if len(password) < PASSWORD_MIN_LENGTH:
        return problem("too_short", f"A password has {PASSWORD_MIN_LENGTH} characters or more.")
    if len(password) > PASSWORD_MAX_LENGTH:
        return problem("too_long", f"A password has at most {PASSWORD_MAX_LENGTH} characters.")
    if password.strip().lower() in (email.lower(), email.partition("@")[0].lower()):
        return problem("guessable", "The password must not be your address.")
    if len(set(password)) == 1:
        return problem("guessable", "The password must not be one character over and over.")
    return []


def may_try(password: str) -> bool:
    """Whether a password given at sign-in is worth comparing: no account has an empty or an over-long one."""
    return 0 < len(password) <= PASSWORD_MAX_LENGTH


def tells_of_guesses(wrong_codes: int, told_at: datetime | None, now: datetime) -> bool:
    """Whether a person learns now that somebody guesses codes of theirs: once a day at the most."""
    return wrong_codes >= GUESSES_TOLD and (told_at is None or now - told_at >= GUESSES_WINDOW)


def may_mail_again(last_mail_at: datetime | None, now: datetime) -> bool:
    """Whether another mail of the same kind may go to an address."""
    return last_mail_at is None or now - last_mail_at >= MAIL_INTERVAL


Failure = Literal["unknown_user", "wrong_password", "disabled", "unverified", "sign_on_only"]


def sign_in_failure(*, known: bool, right: bool, status: AccountStatus, verified: bool) -> Failure | None:
    """Why a sign-in fails, or None. Only who knows the password learns that the address is not verified."""
    if not known:
        return "unknown_user"
    if not right:
        return "wrong_password"
    if status != "active":
        return "disabled"
    return None if verified else "unverified"


@dataclass(frozen=True, slots=True)
class SessionTimes:
    idle_until: datetime
    expires_at: datetime


def session_times(now: datetime, expires_at: datetime | None = None) -> SessionTimes:
    """Until when a session lives after a sign-in, or (with its end given) after a refresh."""
    end = expires_at or now + SESSION_LIFETIME
    return SessionTimes(idle_until=min(now + SESSION_IDLE_LIFETIME, end), expires_at=end)


@dataclass(frozen=True, slots=True)
class Authentication:
    """How and when the person of a session proved who they are: that opened it, and nothing has been proven since."""

    at: datetime
    method: SignInMethod
    second_factor: SecondFactor | None = None
    sign_on_tenant_id: str | None = None
    """The tenant whose provider has vouched for them, in this session or one that it took the place of."""


def is_fresh(proven: Authentication, now: datetime, *, has_second_factor: bool) -> bool:
    """Whether a session was opened just now, with the second factor of whoever has one.

    Another proof opens another session, and so gives a fresh one.
    """
    complete = proven.method == "passkey" or proven.second_factor is not None or not has_second_factor
    return complete and now - proven.at < STEP_UP_LIFETIME


def pending_sign_in_is_good(expires_at: datetime, wrong_codes: int, now: datetime) -> bool:
    """Whether a sign-in still waits for its second factor; asked again in the transaction that opens the session."""
    return now < expires_at and wrong_codes < MAX_WRONG_CODES


def amr(method: SignInMethod, second_factor: SecondFactor | None) -> list[str]:
    """How a person was authenticated, in the words of RFC 8176.

    `otp` stands for a recovery code too, which is a password for one time. Two have no word there: a link by mail is
    `email`, another identity provider `fed`. A passkey is a key that may be kept in software (`swk`), used by somebody
    who was there and unlocked it (`user`): more than one factor by itself.
    """
    words = _WORDS[method] + (_WORDS[second_factor] if second_factor is not None else ())
    more_than_one = method == "passkey" or second_factor is not None
    return [*dict.fromkeys(words), "mfa"] if more_than_one else list(words)


_WORDS: Final[Mapping[SignInMethod | SecondFactor, tuple[str, ...]]] = {
    "password": ("pwd",),
    "magic_link": ("email",),
    "social": ("fed",),
    "sign_on": ("fed",),
    "passkey": ("swk", "user"),
    "totp": ("otp",),
    "recovery_code": ("otp",),
}


class Binding(Protocol):
    """What holds for the addresses of a tenant's domain."""

    @property
    def enforced(self) -> bool: ...

    @property
    def owners(self) -> Sequence[str]: ...


def is_bound(rule: Binding | None, user_id: str | None) -> bool:
    """Whether sign-on is somebody's only way in. It never is for an owner; `user_id` None is somebody new."""
    return rule is not None and rule.enforced and user_id not in rule.owners


def identity_is_fresh(proven_at: datetime, now: datetime) -> bool:
    """Whether what a provider told was told just now. A minute is let be for clocks that differ."""
    return -CLOCK_SKEW <= now - proven_at < IDENTITY_LIFETIME


def first_address(emails: Sequence[str]) -> str | None:
    """The first of a provider's verified addresses that can be an account's, in the one spelling."""
    for email in emails:
        try:
            return normalize_email(email)
        except Invalid:
            continue
    return None


def is_among(email: str, emails: Sequence[str]) -> bool:
    """Whether an account's address is one of those that a provider has verified."""
    return any(first_address([each]) == email for each in emails)


def name_of_identity(name: str | None, email: str) -> str:
    """What to call somebody: as their provider does, or by the address if that is nothing to show."""
    try:
        return clean_name(name or "")
    except Invalid:
        return email.partition("@")[0]


def may_unlink(*, has_password: bool, identities_left: int, passkeys: int) -> bool:
    """Whether somebody gets in without an identity. Links by mail do not count: they stand for a lost password."""
    return has_password or identities_left > 0 or passkeys > 0


def checked_reason(reason: str) -> str | None:
    """Why an operator acts, as it is recorded; None for nothing or too much."""
    text = " ".join(reason.split())
    return text if 0 < len(text) <= REASON_MAX_LENGTH else None


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """A refresh token that was found, and the session that it belongs to."""

    generation: int
    replaced_at: datetime | None
    current_generation: int
    idle_until: datetime
    expires_at: datetime
    ended: bool
    status: AccountStatus


RefreshDecision = Literal["rotate", "repeat", "ended", "expired", "reused", "revoked"]


def refresh_decision(token: PresentedToken, now: datetime) -> RefreshDecision:
    """What becomes of a session whose refresh token is presented.

    `repeat` gives the current token again to a second tab; any other use of a replaced token means that two parties
    hold it, and ends the session (RFC 9700, section 4.14.2).
    """
    if token.ended:
        return "ended"
    if now >= min(token.idle_until, token.expires_at):
        return "expired"
    if token.status != "active":
        return "revoked"
    if token.generation == token.current_generation:
        return "rotate"
    in_grace = token.replaced_at is not None and now - token.replaced_at <= REFRESH_GRACE
    recent = token.current_generation - token.generation <= GRACE_GENERATIONS
    return "repeat" if in_grace and recent else "reused"


def access_claims(
    *,
    issuer: str,
    user_id: str,
    session_id: str,
    token_id: str,
    platform_role: PlatformRole | None,
    proven: Authentication,
    now: datetime,
) -> dict[str, Any]:
    """The claims of an access token (RFC 9068); `amr` and `auth_time` are those of its session."""
    issued_at = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": user_id,
        "sid": session_id,
        "jti": token_id,
        "iat": issued_at,
        "exp": issued_at + int(ACCESS_LIFETIME.total_seconds()),
        "auth_time": int(proven.at.timestamp()),
        "amr": amr(proven.method, proven.second_factor),
    }
    if platform_role is not None:
        claims["platform_role"] = platform_role
    return claims


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of a tenant's program, as far as decisions need it."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    replaced_by: str | None

    def is_good(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class WantedApiKey:
    """Name and scopes of a new key, in the form that is kept."""

    name: str
    scopes: tuple[str, ...]


def checked_api_key(name: str, scopes: Sequence[str], expires_at: datetime | None, now: datetime) -> WantedApiKey:
    """A new key in its kept form: scopes once each, in the table's order. Raises Invalid with all that is wrong."""
    problems: list[FieldError] = []
    clean = collect(problems, lambda: clean_name(name))
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        message = f"No API key can be made for {', '.join(unknown)[:200]}."
        problems.append(FieldError(field="scopes", code="unknown_scope", message=message))
    elif not scopes:
        problems.append(FieldError(field="scopes", code="required", message="Choose what the key is for."))
    try:
        check_expiry(expires_at, now)
    except Invalid as error:
        problems.extend(error.fields)
    if problems:
        raise Invalid(problems[0].message, fields=problems)
    return WantedApiKey(clean, tuple(scope for scope in SCOPES if scope in scopes))


def check_expiry(expires_at: datetime | None, now: datetime) -> None:
    """Raises Invalid for an end that is over already."""
    if expires_at is not None and expires_at <= now:
        raise Invalid.field("expires_at", "in_the_past", "This time is over. Choose a later one, or none.")


def roll_refusal(key: ApiKey, now: datetime) -> ProgError | None:
    """Why a key gets no successor, or None. A key has one: two programs that roll at once do not end up with two."""
    if not key.is_good(now):
        return errors.api_key_ended()
    return None if key.replaced_by is None else errors.api_key_rolled()


def successors_expiry(key: ApiKey, now: datetime) -> datetime | None:
    """When a successor ends for which no end was wished: it lives as long as the key was made to live."""
    return None if key.expires_at is None else now + (key.expires_at - key.created_at)


def expiry_after_roll(key: ApiKey, grace_seconds: int, now: datetime) -> datetime:
    """When a key ends that has a successor: after the grace, and never later than before. Raises Invalid."""
    if not 0 <= grace_seconds <= API_KEY_GRACE_MAX.total_seconds():
        message = f"The grace is 0 to {int(API_KEY_GRACE_MAX.total_seconds())} seconds."
        raise Invalid.field("grace_seconds", "out_of_range", message)
    ends_at = now + timedelta(seconds=grace_seconds)
    return ends_at if key.expires_at is None else min(ends_at, key.expires_at)


def collect(problems: list[FieldError], check: Callable[[], str]) -> str:
    """What a check gives; where it refuses, nothing, and its problems are added to those that there are."""
    try:
        return check()
    except Invalid as error:
        problems.extend(error.fields)
        return ""
