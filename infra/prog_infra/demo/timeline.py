"""What happened, read back through the API: the events in words, and an account of every mail and message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from prog_infra.demo.client import Api, Caller, StoryError, wait_for

_UNSETTLED: Final = frozenset({"pending", "retrying", "waiting", "retry"})
_PREFIX: Final = "prognetwork."
_LEAD: Final = "prognetwork.email.lead_captured"


@dataclass(frozen=True, slots=True)
class Moment:
    """A line of the timeline. `at` is on the tenant's clock, which the story moves, or else on the machine's.

    `why` is what caused it: an event, a command that followed from another, or what somebody asked for.
    """

    at: datetime
    on_tenants_clock: bool
    what: str
    why: str
    who: str


@dataclass(slots=True)
class Account:
    """The count at the end. `problems` is empty when nothing was lost and nothing happened twice."""

    moments: list[Moment] = field(default_factory=list)
    messages: int = 0
    mails: int = 0
    dead_letters: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads, as the operator, everything that belongs to one run of the story.

    `mails` says for each address how many mails of each template the story makes; `known_dead` are dead letters from
    before; `names` are the people's, by user id and by address.
    """

    api: Api
    operator: Caller
    tenant_id: str
    subjects: Sequence[str]
    mails: Mapping[str, Mapping[str, int]]
    known_dead: set[str]
    names: Mapping[str, str]

    def account(self) -> Account:
        """The account of a story that has come to rest; what does not within the deadline is a problem."""
        unfinished: list[str] = []

        def look() -> dict[str, Any] | None:
            unfinished[:] = self._unfinished_mails()
            if unfinished:
                return None
            nodes = self._nodes()
            unfinished[:] = [f"{node['type']} {node['id']} is not handled" for node in nodes.values() if _waits(node)]
            return None if unfinished else nodes

        try:
            nodes = wait_for("every consumer to be done", look)
        except StoryError:
            nodes = self._nodes()
        dead = open_dead_letters(self.api, self.operator) - self.known_dead
        result = Account(messages=len(nodes), dead_letters=len(dead), problems=unfinished)
        causes = {child["id"]: node for node in nodes.values() for child in node["children"]}
        result.moments = [
            Moment(
                at=datetime.fromisoformat(event["time"]),
                on_tenants_clock=event["tenantid"] == self.tenant_id,
                what=self._named(words),
                why=_why(event["messageid"], causes),
                who=self._who(event),
            )
            for event in self._events()
            if (words := _in_words(event)) is not None
        ]
        arrived = self._arrivals()
        result.mails = arrived.total()
        result.problems += [f"a mail arrived {times} times: {what}" for what, times in arrived.items() if times != 1]
        if dead:
            result.problems.append(f"{len(dead)} message(s) became dead letters: prog dead list")
        return result

    def _unfinished_mails(self) -> list[str]:
        """What keeps the mails from being exactly those that the story makes, all of them sent."""
        problems = []
        for address, expected in self.mails.items():
            mails = list(self.api.pages("/v1/messages", self.operator, to=address))
            problems += [f"“{mail['subject']}” to {address} is {mail['status']}" for mail in mails if not _sent(mail)]
            made = Counter(str(mail["template"]) for mail in mails)
            if made != expected:
                problems.append(f"{address} gets the mails {dict(made)}, the story makes {dict(expected)}")
        return problems

    def _arrivals(self) -> Counter[str]:
        """How often each mail is in the mailbox; one that was sent and is not there counts 0."""
        arrived: Counter[str] = Counter()
        for address in self.mails:
            for mail in self.api.pages("/v1/messages", self.operator, to=address):
                arrived[f"{mail['id']} to {address}"] += 0
            for letter in self.api.pages("/v1/mailbox", to=address):
                arrived[f"{letter['mail_id'] or letter['id']} to {address}"] += 1
        return arrived

    def _nodes(self) -> dict[str, Any]:
        """Every message of the stories, by id."""
        nodes: dict[str, Any] = {}
        for correlation in sorted({event["correlationid"] for event in self._events()}):
            story = self.api.get(f"/v1/story/{correlation}", self.operator)
            if story["truncated"]:
                raise StoryError(f"the story {correlation} is longer than one answer")
            nodes.update((node["id"], node) for node in _walk(story["roots"]))
        return nodes

    def _events(self) -> list[dict[str, Any]]:
        """The tenant's events and those about its people, oldest first."""
        in_tenant = Caller(self.operator.access_token, self.tenant_id)
        found = {event["id"]: event for event in self.api.pages("/v1/events", in_tenant)}
        told = [event for subject in self.subjects for event in self._of_platform(subject=subject)]
        for correlation in {event["correlationid"] for event in told}:
            found.update((event["id"], event) for event in self._of_platform(correlation_id=correlation))
        return sorted(found.values(), key=lambda event: int(event["position"]))

    def _of_platform(self, **filters: str) -> Iterator[dict[str, Any]]:
        return self.api.pages("/v1/events", self.operator, **filters)

    def _named(self, words: str) -> str:
        """Words with people's names in place of their addresses."""
        for key, name in self.names.items():
            words = words.replace(key, name)
        return words

    def _who(self, event: Mapping[str, Any]) -> str:
        """Who set it off: the signed-in actor, else the person whom it is about; unasked mails are the platform's."""
        known = self.names.get(event["actor"] or "") or self.names.get(event["data"].get("user_id", ""))
        return known or ("ProgNetwork" if _domain(event) == "email" and event["type"] != _LEAD else "a visitor")


def open_dead_letters(api: Api, operator: Caller) -> set[str]:
    return {letter["id"] for letter in api.pages("/v1/dead-letters", operator)}


def _sent(mail: Mapping[str, Any]) -> bool:
    return bool(mail["status"] == "sent")


def _waits(node: Mapping[str, Any]) -> bool:
    """Whether a message is still on its way: a command nobody has taken, an event not in the index, or a retry."""
    done = {item["group"] for item in node["handled"] if item["status"] not in _UNSETTLED}
    held_up = len(done) < len(node["handled"])
    return held_up or ("events" if node["kind"] == "event" else _domain(node)) not in done


def _walk(nodes: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node["children"]


def _domain(event: Mapping[str, Any]) -> str:
    return str(event["type"]).removeprefix(_PREFIX).partition(".")[0]


def _why(message_id: str, causes: Mapping[str, Mapping[str, Any]]) -> str:
    """The event or command that caused it, passing over those that only carry a mail; who asked is told by whom."""
    cause = causes.get(message_id)
    while cause is not None and cause["type"] in _CARRIERS:
        cause = causes.get(cause["id"])
    if cause is None:
        return ""
    words = str(cause["type"]).removeprefix(_PREFIX).partition(".")[2].replace("_", " ")
    if cause["kind"] == "event":
        return f"after {words}"
    return words if cause["id"] in causes else f"asked: {words}"


def _in_words(event: dict[str, Any]) -> str | None:
    """The event as a sentence; None for such as tell the reader nothing new."""
    name = str(event["type"]).removeprefix(_PREFIX)
    if name in _SILENT:
        return None
    tell = _SENTENCES.get(name)
    return name.replace(".", ": ").replace("_", " ") if tell is None else tell(event["data"])


def _money(value: Mapping[str, Any]) -> str:
    return f"{value['amount'] / 100:,.2f} {value['currency']}"


_CARRIERS: Final = frozenset({"prognetwork.email.send_mail", "prognetwork.email.deliver_mail"})

_SILENT: Final = frozenset({"monitoring.metrics_updated"})

_SENTENCES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "email.lead_captured": lambda data: f"address left on the site: {data['email']}",
    "users.user_created": lambda data: f"account of {data['name']}",
    "users.email_verified": lambda data: "address verified",
    "users.user_authenticated": lambda data: "signed in",
    "users.session_refreshed": lambda data: "tokens rotated",
    "tenants.tenant_created": lambda data: f"tenant {data['name']}",
    "tenants.tenant_updated": lambda data: f"{data['name']} is {data['status']}",
    "tenants.clock_changed": lambda data: f"clock stands at {data['at'][:10]}",
    "tenants.member_invited": lambda data: f"{data['email']} invited as {data['role']}",
    "tenants.member_joined": lambda data: f"{data['name']} joins as {data['role']}",
    "tenants.billing_changed": lambda data: f"plan: {data['plan'] or 'none'} ({data['reason'].replace('_', ' ')})",
    "payments.customer_created": lambda data: f"billing customer {data['name']}",
    "payments.payment_method_attached": lambda data: f"card {data['brand']} •••• {data['last4']}",
    "payments.subscription_created": lambda data: f"subscription to {data['plan']}",
    "payments.subscription_updated": lambda data: f"subscription {data['reason'].replace('_', ' ')}",
    "payments.invoice_generated": lambda data: f"invoice {data['number']} of {_money(data['total'])}",
    "payments.payment_processed": lambda data: f"payment of {_money(data['amount'])} for {data['number']}",
    "payments.payment_failed": lambda data: f"payment failed: {data['reason'].replace('_', ' ')}",
    "email.email_sent": lambda data: f"mail to {data['to']}: {data['subject_line']}",
}
