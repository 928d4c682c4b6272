"""What each template needs: the schema of its data, its secrets, and the link of its button.

Whoever sends `SendMail` fills these fields; a mail whose data do not fit is refused when it is asked for, not when it
is due.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final, Literal
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from prog_contracts.email import Template
from prog_contracts.errors import FieldError, Invalid
from prog_contracts.money import Money
from prog_contracts.payments import FailureReason, SubscriptionStatus
from prog_contracts.quotas import QuotaName
from prog_contracts.second_factors import SecondFactorChange
from prog_contracts.tenants import TenantRole
from prog_workers.email.rules import greeting_name, one_line


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mail's links lead: the platform's address, the tenant, and the opened secrets."""

    public_url: str
    tenant_id: str
    secrets: Mapping[str, str] = field(default_factory=dict)

    def url(self, path: str, **query: str) -> str:
        return f"{self.public_url.rstrip('/')}{path}{'?' + urlencode(query) if query else ''}"

    def billing(self) -> str:
        return self.url(f"/account/tenants/{quote(self.tenant_id)}/billing")


class MailContext(BaseModel):
    """The data of a mail. `name` greets, `locale` decides how money and dates look, times are in `time_zone`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    SECRETS: ClassVar[tuple[str, ...]] = ()

    name: str | None = None
    locale: str = "en_US"
    time_zone: str = "UTC"

    @field_validator("name")
    @classmethod
    def _greets(cls, name: str | None) -> str | None:
        return greeting_name(name)

    def link(self, place: Place) -> str:
        """Where the button leads."""
        return place.url("/account")


class VerifyEmail(MailContext):
    SECRETS = ("token",)

    def link(self, place: Place) -> str:
        return place.url("/account/verify", token=place.secrets["token"])


class ResetPassword(MailContext):
    SECRETS = ("token",)

    def link(self, place: Place) -> str:
        return place.url("/account/reset-password", token=place.secrets["token"])


class MagicLink(MailContext):
    SECRETS = ("token",)

    def link(self, place: Place) -> str:
        return place.url("/account/sign-in-link/open", token=place.secrets["token"])


class PasswordChanged(MailContext):
    changed_at: datetime

    def link(self, place: Place) -> str:
        return place.url("/account/forgot-password")


class SecondFactorChanged(MailContext):
    """`change` is what became of it. `codes_left` is told when a recovery code was used, `passkey` which one it was."""

    change: SecondFactorChange | Literal["code_used", "passkey_added", "passkey_removed", "passkey_copied"]
    changed_at: datetime
    codes_left: int = 0
    passkey: str = ""

    def link(self, place: Place) -> str:
        return place.url("/account/forgot-password")


class SecondFactorGuessed(MailContext):
    since: datetime
    wrong_codes: int

    def link(self, place: Place) -> str:
        return place.url("/account/forgot-password")


class IdentityChanged(MailContext):
    """An identity was linked to the account, or unlinked. `provider` is the name that people know, such as Google."""

    linked: bool
    provider: str
    changed_at: datetime

    @field_validator("provider")
    @classmethod
    def _fits_a_subject(cls, name: str) -> str:
        return one_line(name, 40)

    def link(self, place: Place) -> str:
        return place.url("/account/security")


class AppConnected(MailContext):
    """Somebody let an app know of them, with this account."""

    app_name: str
    connected_at: datetime

    @field_validator("app_name")
    @classmethod
    def _fits_a_subject(cls, name: str) -> str:
        return one_line(name, 40)

    def link(self, place: Place) -> str:
        return place.url("/account/apps")


class AccountDeletion(MailContext):
    """`step` is how far it is; `tenant_names` are those that would have no owner, where that stopped it."""

    step: Literal["requested", "requested_by_operator", "restored", "stopped", "done"]
    erase_at: datetime | None = None
    tenant_names: tuple[str, ...] = ()

    @field_validator("tenant_names")
    @classmethod
    def _fit_a_line(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(one_line(name, 60) for name in names)

    def link(self, place: Place) -> str:
        return place.url("/" if self.step == "done" else "/account/delete")


class DataExported(MailContext):
    exported_at: datetime

    def link(self, place: Place) -> str:
        return place.url("/account/forgot-password")


class Impersonated(MailContext):
    """The platform's support acts in the person's name, for a reason and until a time at the latest."""

    reason: str
    began_at: datetime
    expires_at: datetime

    @field_validator("reason")
    @classmethod
    def _fits_a_line(cls, text: str) -> str:
        return one_line(text, 500)

    def link(self, place: Place) -> str:
        return place.url("/account/activity")


class Welcome(MailContext):
    tenant_name: str | None = None


class Invitation(MailContext):
    SECRETS = ("token",)

    tenant_name: str
    role: TenantRole
    inviter_name: str | None = None
    expires_at: datetime | None = None

    @field_validator("tenant_name")
    @classmethod
    def _fits_a_subject(cls, name: str) -> str:
        return one_line(name, 80)

    @field_validator("inviter_name")
    @classmethod
    def _names_a_person(cls, name: str | None) -> str | None:
        return greeting_name(name)

    def link(self, place: Place) -> str:
        return place.url("/account/invitations/accept", token=place.secrets["token"])


class TenantReady(MailContext):
    tenant_id: str
    tenant_name: str

    def link(self, place: Place) -> str:
        return place.url(f"/account/tenants/{quote(self.tenant_id)}")


class TenantMail(MailContext):
    """To an owner, about what became of the tenant."""

    tenant_name: str

    @field_validator("tenant_name")
    @classmethod
    def _fits_a_subject(cls, name: str) -> str:
        return one_line(name, 60)

    def link(self, place: Place) -> str:
        return place.url(f"/account/tenants/{quote(place.tenant_id)}")


class TenantSuspended(TenantMail):
    reason: str

    def link(self, place: Place) -> str:
        return place.billing()


class TenantDeletionRequested(TenantMail):
    purge_at: datetime


class TenantSignOnChanged(TenantMail):
    """How the tenant's people sign on has changed: `detail` is the issuer, or the domain, that it is about."""

    what: Literal["configured", "removed", "domain_proven", "domain_released", "domain_missing", "domain_lost"]
    detail: str = ""

    @field_validator("detail")
    @classmethod
    def _fits_a_line(cls, text: str) -> str:
        return one_line(text, 120)

    def link(self, place: Place) -> str:
        return place.url(f"/account/tenants/{quote(place.tenant_id)}/sign-on")


class TenantCustomDomainChanged(TenantMail):
    """What became of a custom domain; `target` is where its name is to lead."""

    what: Literal["proven", "activated", "misdirected", "missing", "lost", "released"]
    domain: str
    target: str

    @field_validator("domain", "target")
    @classmethod
    def _fits_a_line(cls, text: str) -> str:
        return one_line(text, 253)

    def link(self, place: Place) -> str:
        return place.url(f"/account/tenants/{quote(place.tenant_id)}/custom-domains")


class TenantDeleted(TenantMail):
    def link(self, place: Place) -> str:
        return place.url("/account")


class TenantExportMail(TenantMail):
    """About an export of all that is the tenant's; `requested_by` is the name of the owner who asked."""

    requested_by: str

    @field_validator("requested_by")
    @classmethod
    def _fits_a_line(cls, text: str) -> str:
        return one_line(text, 80)

    def link(self, place: Place) -> str:
        return place.url(f"/account/tenants/{quote(place.tenant_id)}/export")


class TenantExportReady(TenantExportMail):
    """It can be fetched until `expires_at`."""

    expires_at: datetime


class TenantExportFailed(TenantExportMail):
    """It came to more than `limit_mib`."""

    limit_mib: int


class UsageWarning(TenantMail):
    quota: QuotaName
    percent: int
    used: int
    limit: int

    def link(self, place: Place) -> str:
        return place.url(f"/account/tenants/{quote(place.tenant_id)}/usage")


class BillingContext(MailContext):
    plan: str

    def link(self, place: Place) -> str:
        return place.billing()


class Receipt(BillingContext):
    number: str
    amount: Money
    period_start: datetime
    period_end: datetime
    paid_at: datetime
    card_brand: str
    card_last4: str


class PaymentFailed(BillingContext):
    number: str
    amount_due: Money
    reason: FailureReason
    failed_at: datetime
    next_attempt_at: datetime | None = None
    subscription_status: SubscriptionStatus | None = None


class PaymentRecovered(BillingContext):
    current_period_end: datetime


class SubscriptionCanceled(BillingContext):
    reason: str
    ended_at: datetime


class LeadThanks(MailContext):
    def link(self, place: Place) -> str:
        return place.url("/account/sign-up")


CONTEXTS: Final[dict[Template, type[MailContext]]] = {
    "verify_email": VerifyEmail,
    "reset_password": ResetPassword,
    "magic_link": MagicLink,
    "password_changed": PasswordChanged,
    "account_deletion": AccountDeletion,
    "data_exported": DataExported,
    "impersonated": Impersonated,
    "second_factor_changed": SecondFactorChanged,
    "second_factor_guessed": SecondFactorGuessed,
    "identity_changed": IdentityChanged,
    "app_connected": AppConnected,
    "welcome": Welcome,
    "invitation": Invitation,
    "tenant_ready": TenantReady,
    "tenant_suspended": TenantSuspended,
    "tenant_resumed": TenantMail,
    "tenant_deletion_requested": TenantDeletionRequested,
    "tenant_restored": TenantMail,
    "tenant_sign_on_changed": TenantSignOnChanged,
    "tenant_custom_domain_changed": TenantCustomDomainChanged,
    "tenant_export_ready": TenantExportReady,
    "tenant_export_failed": TenantExportFailed,
    "tenant_deleted": TenantDeleted,
    "usage_warning": UsageWarning,
    "receipt": Receipt,
    "payment_failed": PaymentFailed,
    "payment_recovered": PaymentRecovered,
    "subscription_canceled": SubscriptionCanceled,
    "lead_thanks": LeadThanks,
}


def context_of(template: Template, data: Mapping[str, Any], sealed_data: Mapping[str, str]) -> MailContext:
    """The data of a mail, checked. Raises Invalid for each field that is missing or does not fit."""
    model = CONTEXTS[template]
    missing = [
        FieldError(field=f"sealed_data.{name}", code="missing", message="is missing")
        for name in model.SECRETS
        if name not in sealed_data
    ]
    if missing:
        raise Invalid(f"{template}: sealed_data.{missing[0].field} is missing", fields=missing)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        fields = [
            FieldError(field=".".join(("data", *map(str, item["loc"]))), code=item["type"], message=item["msg"])
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise Invalid(f"{template}: {fields[0].field}: {fields[0].message}", fields=fields) from None
