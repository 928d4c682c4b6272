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


@dataclass(frozen=True, slots=True)
class Moment:
    """A line of the timeline. `at` is on the clock of whoever it happened to."""

    at: datetime
    what: str
    who: str


@dataclass(slots=True)
class Account:
    """The count at the end. `problems` is empty when nothing was lost and nothing happened twice."""

    moments: list[Moment] = field(default_factory=list)
    messages: int = 0
    mails: int = 0
    dead_letters: int = 0
    problems: list[str] = field(default_factory=list)


def account(
    api: Api,
    operator: Caller,
    *,
    tenant_id: str,
    subjects: Sequence[str],
    mails: Mapping[str, Mapping[str, int]],
    known_dead: set[str],
    names: Mapping[str, str],
) -> Account:
    """Reads everything that belongs to one run of the story, once it has come to rest.

    `mails` says for each address how many mails of each template the story makes.
    """
    nodes = wait_for("every consumer to be done", lambda: _at_rest(api, operator, tenant_id, subjects))
    events = _events(api, operator, tenant_id, subjects)
    dead = open_dead_letters(api, operator) - known_dead
    result = Account(messages=len(nodes), dead_letters=len(dead))
    result.moments = [
        Moment(datetime.fromisoformat(event["time"]), words, names.get(event["actor"] or "") or _process(event))
        for event in events
        if (words := _in_words(event)) is not None
    ]
    result.mails, result.problems = _count_mails(api, operator, mails)
    if dead:
        result.problems.append(f"{len(dead)} message(s) became dead letters: prog dead list")
    return result


def open_dead_letters(api: Api, operator: Caller) -> set[str]:
    return {letter["id"] for letter in api.pages("/v1/dead-letters", operator)}


def _at_rest(api: Api, operator: Caller, tenant_id: str, subjects: Sequence[str]) -> dict[str, Any] | None:
    """Every message of the stories by id; None while a consumer has not handled one of them."""
    correlations = {event["correlationid"] for event in _events(api, operator, tenant_id, subjects)}
    nodes: dict[str, Any] = {}
    for correlation in sorted(correlations):
        story = api.get(f"/v1/story/{correlation}", operator)
        if story["truncated"]:
            raise StoryError(f"the story {correlation} is longer than one answer")
        nodes.update((node["id"], node) for node in _walk(story["roots"]))
    handled = [item["status"] for node in nodes.values() for item in node["handled"]]
    return None if _UNSETTLED.intersection(handled) else nodes


def _events(api: Api, operator: Caller, tenant_id: str, subjects: Sequence[str]) -> list[dict[str, Any]]:
    """The tenant's events and those about its people, oldest first."""
    found = {event["id"]: event for event in api.pages("/v1/events", Caller(operator.access_token, tenant_id))}
    for subject in subjects:
        found.update((event["id"], event) for event in api.pages("/v1/events", operator, subject=subject))
    return sorted(found.values(), key=lambda event: int(event["position"]))


def _walk(nodes: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node["children"]


def _count_mails(api: Api, operator: Caller, expected: Mapping[str, Mapping[str, int]]) -> tuple[int, list[str]]:
    """How many mails arrived, and every one that did not arrive exactly once, or that nobody expected."""
    problems = []
    arrived: Counter[str] = Counter()
    for address, templates in expected.items():
        arrived.update(letter["mail_id"] or letter["id"] for letter in api.pages("/v1/mailbox", to=address))
        mails = list(api.pages("/v1/messages", operator, to=address))
        for mail in mails:
            if mail["status"] != "sent" or arrived[mail["id"]] != 1:
                times = f"arrived {arrived[mail['id']]} times"
                problems.append(f"the mail “{mail['subject']}” to {address} is {mail['status']} and {times}")
        made = Counter(str(mail["template"]) for mail in mails)
        if made != templates:
            problems.append(f"{address} got {dict(made)}, the story makes {dict(templates)}")
    return arrived.total(), problems


def _process(event: dict[str, Any]) -> str:
    return str(event["type"]).removeprefix(_PREFIX).partition(".")[0]


def _in_words(event: dict[str, Any]) -> str | None:
    """The event as a sentence; None for such as tell the reader nothing new."""
    name = str(event["type"]).removeprefix(_PREFIX)
    if name in _SILENT:
        return None
    tell = _SENTENCES.get(name)
    return name.replace(".", ": ").replace("_", " ") if tell is None else tell(event["data"])


def _money(value: Mapping[str, Any]) -> str:
    return f"{value['amount'] / 100:,.2f} {value['currency']}"


_SILENT: Final = frozenset({"monitoring.metrics_updated"})

_SENTENCES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "email.lead_captured": lambda data: f"{data['email']} is left on the site",
    "users.user_created": lambda data: f"account of {data['name']}",
    "users.email_verified": lambda data: f"{data['email']} is verified",
    "users.user_authenticated": lambda data: "signed in",
    "tenants.tenant_created": lambda data: f"tenant {data['name']}",
    "tenants.tenant_updated": lambda data: f"tenant is {data['status']}",
    "tenants.clock_changed": lambda data: f"clock stands at {data['at'][:10]}",
    "tenants.member_invited": lambda data: f"{data['email']} invited as {data['role']}",
    "tenants.member_joined": lambda data: f"{data['name']} joins as {data['role']}",
    "tenants.billing_changed": lambda data: f"plan: {data['plan'] or 'none'} ({data['reason'].replace('_', ' ')})",
    "payments.customer_created": lambda data: f"billing customer {data['name']}",
    "payments.payment_method_attached": lambda data: f"card {data['brand']} •••• {data['last4']}",
    "payments.subscription_created": lambda data: f"subscription to {data['plan']}",
    "payments.subscription_updated": lambda data: f"subscription {data['reason'].replace('_', ' ')}: {data['status']}",
    "payments.invoice_generated": lambda data: f"invoice {data['number']} of {_money(data['total'])}",
    "payments.payment_processed": lambda data: f"payment of {_money(data['amount'])} for {data['number']}",
    "payments.payment_failed": lambda data: f"payment failed: {data['reason'].replace('_', ' ')}",
    "email.email_sent": lambda data: f"mail to {data['to']}: {data['subject_line']}",
}
