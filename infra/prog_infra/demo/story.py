"""The steps of the story. Each drives the public API, waits for what it promises, and says what happened."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from prog_infra.demo.client import Api, Caller, StoryError, wait_for
from prog_infra.demo.timeline import Account, Reader, open_dead_letters

DUNNING_RETRIES: Final = 2
LEAD_CAPTURED: Final = "prognetwork.email.lead_captured"
FAILED: Final = "prognetwork.payments.payment_failed"
OWNERS_MAILS: Final = {
    "lead_thanks": 1,
    "verify_email": 1,
    "welcome": 1,
    "tenant_ready": 1,
    "receipt": 3,
    "payment_failed": 1 + DUNNING_RETRIES,
    "payment_recovered": 1,
}
GUESTS_MAILS: Final = {"invitation": 1, "verify_email": 1, "welcome": 1}


@dataclass(slots=True)
class Person:
    """Somebody in the story, and their credentials once they have signed in."""

    name: str
    email: str
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    user_id: str = ""
    access_token: str = ""
    refresh_token: str = ""

    def caller(self, tenant_id: str | None = None) -> Caller:
        return Caller(self.access_token, tenant_id)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its `name` is stable, `title` is for people, `run` returns what happened in a few words."""

    name: str
    title: str
    run: Callable[[], str]


class Story:
    """One run of the story with fresh people and a fresh tenant, so that it can be told again on the same data."""

    def __init__(self, api: Api, operator_email: str, operator_password: str) -> None:
        self.api = api
        run = secrets.token_hex(4)
        self.company = f"Analytical Engines {run}"
        self.owner = Person("Ada Lovelace", f"ada.{run}@engines.example")
        self.guest = Person("Grace Hopper", f"grace.{run}@engines.example")
        self.operator = Person("the operator", operator_email, operator_password)
        self.lead_id = self.tenant_id = self.subscription_id = ""
        self.known_dead: set[str] = set()
        self.account: Account | None = None

    def steps(self) -> list[Step]:
        return [
            Step("lead", "A visitor leaves an address", self.leave_address),
            Step("sign_up", "She signs up", self.sign_up),
            Step("verify", "A mail arrives; its link verifies the address", self.verify),
            Step("sign_in", "She signs in; tokens rotate", self.sign_in),
            Step("tenant", "A tenant is created and provisioned", self.create_tenant),
            Step("invite", "A colleague is invited and joins", self.invite),
            Step("subscribe", "The tenant picks a plan and pays", self.subscribe),
            Step("renew", "A month passes: the renewal is paid", self.renew),
            Step("past_due", "The card fails: past due", self.fall_behind),
            Step("dunning", "Retries by the dunning policy, a mail each", self.dun),
            Step("recover", "A new card: active again", self.recover),
            Step("account", "Every mail and message is accounted for", self.settle_up),
        ]

    def leave_address(self) -> str:
        self.operator.access_token = self.tokens_of(self.operator)["access_token"]
        self.known_dead = open_dead_letters(self.api, self.operator.caller())
        body = {"email": self.owner.email, "name": self.owner.name, "note": "We want to grow."}
        self.api.post("/v1/leads", body)
        self.letter(self.owner, "Thank you for your interest")
        self.lead_id = self.find_lead()
        return self.owner.email

    def sign_up(self) -> str:
        self.register(self.owner)
        return self.owner.name

    def verify(self) -> str:
        letter = self.letter(self.owner, "Verify your e-mail address")
        self.spend_verification(self.owner, letter)
        return f"“{letter['subject']}”"

    def sign_in(self) -> str:
        self.enter(self.owner)
        used = self.owner.refresh_token
        tokens = self.api.post("/v1/auth/refresh", {"refresh_token": used})
        self.owner.access_token, self.owner.refresh_token = tokens["access_token"], tokens["refresh_token"]
        if tokens["refresh_token"] == used:
            raise StoryError("the refresh token did not change")
        return "argon2id, access and refresh token"

    def create_tenant(self) -> str:
        by = self.owner.caller()
        self.tenant_id = _id(self.api.post("/v1/tenants", {"name": self.company}, by), "tenant_id")
        path = f"/v1/tenants/{self.tenant_id}"
        self.state(path, "active", by)
        at = datetime.now(UTC).replace(microsecond=0)
        self.api.post(f"{path}/clock", {"at": at.isoformat()}, self.owner.caller(self.tenant_id))
        return self.tenant_id

    def invite(self) -> str:
        invitation = {"email": self.guest.email, "role": "member"}
        self.api.post(f"/v1/tenants/{self.tenant_id}/invitations", invitation, self.owner.caller(self.tenant_id))
        letter = self.letter(self.guest, self.company)
        self.register(self.guest)
        self.spend_verification(self.guest, self.letter(self.guest, "Verify your e-mail address"))
        self.enter(self.guest)
        self.api.post("/v1/invitations/accept", {"token": self.token_in(letter)}, self.guest.caller())
        return self.guest.name

    def subscribe(self) -> str:
        by = self.owner.caller(self.tenant_id)
        price = min(self.api.get("/v1/prices", by)["data"], key=_monthly_first)
        subscription = {"price_id": price["id"], "payment_method": "pm_ok"}
        self.subscription_id = _id(self.api.post("/v1/subscriptions", subscription, by), "subscription_id")
        self.state(f"/v1/subscriptions/{self.subscription_id}", "active", by)
        (invoice,) = self.invoices(paid=1)
        if not self.api.read(f"/v1/invoices/{invoice['id']}/pdf", by).startswith(b"%PDF-"):
            raise StoryError(f"the PDF of invoice {invoice['number']} is none")
        self.letter(self.owner, f"Receipt {invoice['number']}")
        return f"{invoice['number']}, {_money(invoice['total'])}, receipt by mail"

    def renew(self) -> str:
        self.advance(_time(self.subscription()["current_period_end"]))
        newest = self.invoices(paid=2)[0]
        self.letter(self.owner, f"Receipt {newest['number']}")
        return f"{newest['number']}, {_money(newest['total'])}"

    def fall_behind(self) -> str:
        by = self.owner.caller(self.tenant_id)
        self.api.post("/v1/payment-methods", {"token": "pm_insufficient_funds"}, by)
        self.advance(_time(self.subscription()["current_period_end"]))
        self.state(f"/v1/subscriptions/{self.subscription_id}", "past_due", by)
        failure = self.failures(1)[-1]
        self.letters(self.owner, "failed", 1)
        return f"{failure['reason'].replace('_', ' ')}, next attempt {failure['next_attempt_at'][:10]}"

    def dun(self) -> str:
        for retry in range(1, DUNNING_RETRIES + 1):
            self.advance(_time(self.failures(retry)[-1]["next_attempt_at"]))
            self.failures(retry + 1)
            self.letters(self.owner, "failed", retry + 1)
        return f"{DUNNING_RETRIES} retries, {DUNNING_RETRIES} mails"

    def recover(self) -> str:
        by = self.owner.caller(self.tenant_id)
        self.api.post("/v1/payment-methods", {"token": "pm_ok"}, by)
        self.state(f"/v1/subscriptions/{self.subscription_id}", "active", by)
        newest = self.invoices(paid=3)[0]
        self.letter(self.owner, f"Receipt {newest['number']}")
        self.letter(self.owner, "All settled")
        return f"{newest['number']} paid"

    def settle_up(self) -> str:
        """Waits until every consumer is at rest, then counts: no mail twice, none lost, no new dead letter."""
        people = [self.owner, self.guest]
        reader = Reader(
            self.api,
            self.operator.caller(),
            self.tenant_id,
            subjects=[self.lead_id, *(person.user_id for person in people)],
            mails={self.owner.email: OWNERS_MAILS, self.guest.email: GUESTS_MAILS},
            known_dead=self.known_dead,
            names={key: person.name for person in people for key in (person.user_id, person.email)},
        )
        self.account = reader.account()
        if self.account.problems:
            raise StoryError("; ".join(self.account.problems))
        return f"{self.account.messages} messages, {self.account.mails} mails, {self.account.dead_letters} dead letters"

    # What the steps are made of.

    def register(self, person: Person) -> None:
        body = {"email": person.email, "password": person.password, "name": person.name}
        self.api.post("/v1/auth/register", body)

    def spend_verification(self, person: Person, letter: dict[str, Any]) -> None:
        self.api.post("/v1/auth/email/verify", {"token": self.token_in(letter)})
        self.letter(person, "Welcome to ProgNetwork")

    def tokens_of(self, person: Person) -> dict[str, Any]:
        return self.api.post("/v1/auth/login", {"email": person.email, "password": person.password})

    def enter(self, person: Person) -> None:
        tokens = self.tokens_of(person)
        person.user_id = tokens["user_id"]
        person.access_token, person.refresh_token = tokens["access_token"], tokens["refresh_token"]

    def find_lead(self) -> str:
        """The id of the lead, as the operator sees it in the event log."""
        for event in self.api.pages("/v1/events", self.operator.caller(), types=LEAD_CAPTURED):
            if event["data"]["email"] == self.owner.email:
                return str(event["data"]["lead_id"])
        raise StoryError(f"the lead of {self.owner.email} is not in the event log")

    def letter(self, person: Person, subject: str) -> dict[str, Any]:
        """The newest mail in the mailbox whose subject holds these words."""
        return self.letters(person, subject, 1)[0]

    def letters(self, person: Person, subject: str, count: int) -> list[dict[str, Any]]:
        def look() -> list[dict[str, Any]] | None:
            found = [mail for mail in self.api.pages("/v1/mailbox", to=person.email) if subject in mail["subject"]]
            return found if len(found) >= count else None

        return wait_for(f"{count} mail(s) “{subject}” to {person.email}", look)

    def token_in(self, letter: dict[str, Any]) -> str:
        """The token in the link of a mail's text."""
        text = str(self.api.get(f"/v1/mailbox/{letter['id']}")["text"])
        for word in text.split():
            tokens = parse_qs(urlsplit(word).query).get("token")
            if tokens:
                return tokens[0]
        raise StoryError(f"there is no link with a token in “{letter['subject']}”")

    def state(self, path: str, status: str, by: Caller) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found = self.api.get(path, by)
            return found if found["status"] == status else None

        return wait_for(f"{path} to be {status}", look)

    def subscription(self) -> dict[str, Any]:
        return self.api.get(f"/v1/subscriptions/{self.subscription_id}", self.owner.caller(self.tenant_id))

    def invoices(self, paid: int) -> list[dict[str, Any]]:
        """The tenant's invoices, newest first, once `paid` of them are paid."""

        def look() -> list[dict[str, Any]] | None:
            found = list(self.api.pages("/v1/invoices", self.owner.caller(self.tenant_id)))
            done = sum(invoice["status"] == "paid" for invoice in found)
            return found if done == paid == len(found) else None

        return wait_for(f"{paid} paid invoice(s)", look)

    def failures(self, count: int) -> list[dict[str, Any]]:
        """The charges that failed, oldest first, once there are `count`."""

        def look() -> list[dict[str, Any]] | None:
            found = [
                event["data"] for event in self.api.pages("/v1/events", self.owner.caller(self.tenant_id), types=FAILED)
            ]
            return found[::-1] if len(found) >= count else None

        return wait_for(f"{count} failed charge(s)", look)

    def advance(self, to: datetime) -> None:
        """Moves the tenant's clock just past `to`, and waits until all that fell due is done."""
        later = to + timedelta(minutes=1)
        by = self.owner.caller(self.tenant_id)
        self.api.post(f"/v1/tenants/{self.tenant_id}/clock/advance", {"to": later.isoformat()}, by)


def _id(result: dict[str, Any], name: str) -> str:
    """The id in a resource, or in the domain's result where the write took long."""
    return str(result.get("id") or result[name])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _money(value: dict[str, Any]) -> str:
    return f"{value['amount'] / 100:.2f} {value['currency']}"


def _monthly_first(price: dict[str, Any]) -> tuple[bool, int]:
    """Orders prices: those paid each month first, the cheapest of them in front."""
    monthly = price["interval"] == "month" and price["interval_count"] == 1
    return not monthly, int(price["unit_price"]["amount"])
