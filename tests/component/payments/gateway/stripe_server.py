"""A server that answers as Stripe's API documents it, for the few calls that the adapter makes.

It follows docs.stripe.com/api: form-encoded requests, bearer key, `Stripe-Version`; idempotency keys whose first answer
is given again, errors too (docs.stripe.com/api/idempotent_requests); 402 `card_error`, `decline_code` and the intent
(docs.stripe.com/declines/codes); lists that are newest first with `has_more`. Cards behave by Stripe's names of test
payment methods (docs.stripe.com/testing).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Answer = tuple[int, dict[str, Any]]

CARDS: dict[str, dict[str, Any]] = {
    "pm_card_visa": {"last4": "4242"},
    "pm_card_chargeDeclined": {"last4": "0002", "code": "card_declined", "decline_code": "generic_decline"},
    "pm_card_chargeDeclinedInsufficientFunds": {
        "last4": "9995", "code": "card_declined", "decline_code": "insufficient_funds",
    },
    "pm_card_chargeDeclinedExpiredCard": {"last4": "0069", "code": "expired_card", "decline_code": None},
    "pm_card_chargeDeclinedLostCard": {"last4": "9987", "code": "card_declined", "decline_code": "lost_card"},
    "pm_card_authenticationRequired": {
        "last4": "3184", "code": "authentication_required", "decline_code": "authentication_required",
    },
}  # fmt: skip


@dataclass(slots=True)
class StripeServer:
    """The state of the pretended account. `silent_after` answers 500 after doing what was asked, as a lost answer."""

    url: str = ""
    version: set[str] = field(default_factory=set)
    answers: dict[str, Answer] = field(default_factory=dict)
    intents: list[dict[str, Any]] = field(default_factory=list)
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)
    customers: int = 0
    fail_before: bool = False
    silent_after: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, form: dict[str, str], key: str | None) -> Answer:
        with self.lock:
            return self._once(method, path, form, key)

    def _once(self, method: str, path: str, form: dict[str, str], key: str | None) -> Answer:
        if self.fail_before:
            return 503, _error("api_error", "try again")
        if key is not None and key in self.answers:
            return self.answers[key]
        answer = self._route(method, path, form)
        if key is not None:
            self.answers[key] = answer
        if self.silent_after and path == "/v1/payment_intents" and method == "POST":
            self.answers.pop(key or "")
            return 500, _error("api_error", "the answer is lost")
        return answer

    def _route(self, method: str, path: str, form: dict[str, str]) -> Answer:
        match method, path.strip("/").split("/")[1:]:
            case "POST", ["customers"]:
                self.customers += 1
                return 200, {"id": f"cus_{self.customers}", "object": "customer", "email": form["email"]}
            case "POST", ["payment_methods", token, "attach"]:
                return self._attach(token, form["customer"])
            case "POST", ["payment_intents"]:
                return self._create(form)
            case "GET", ["payment_intents"]:
                return self._list(form)
        return 404, _error("invalid_request_error", f"Unrecognized request URL ({method}: {path})")

    def _attach(self, token: str, customer: str) -> Answer:
        card = CARDS.get(token)
        if card is None:
            return 404, _error("invalid_request_error", f"No such PaymentMethod: '{token}'", code="resource_missing")
        identity = f"pm_{len(self.methods) + 1}"
        self.methods[identity] = card
        details = {"brand": "visa", "last4": card["last4"], "exp_month": 12, "exp_year": 2034}
        return 200, {"id": identity, "object": "payment_method", "type": "card", "customer": customer, "card": details}

    def _create(self, form: dict[str, str]) -> Answer:
        card = self.methods.get(form["payment_method"])
        if card is None:
            return 404, _error("invalid_request_error", "No such PaymentMethod", code="resource_missing")
        assert form["confirm"] == form["off_session"] == form["error_on_requires_action"] == "true"
        intent: dict[str, Any] = {
            "id": f"pi_{len(self.intents) + 1}",
            "object": "payment_intent",
            "amount": int(form["amount"]),
            "currency": form["currency"],
            "customer": form["customer"],
            "status": "succeeded",
            "last_payment_error": None,
            "metadata": {"charge_key": form["metadata[charge_key]"]},
        }
        self.intents.append(intent)
        if "code" not in card:
            return 200, intent
        failure = {
            "type": "card_error",
            "code": card["code"],
            "decline_code": card["decline_code"],
            "message": "Your card was declined.",
        }
        intent.update(status="requires_payment_method", last_payment_error=failure)
        return 402, {"error": {**failure, "payment_intent": intent}}

    def _list(self, form: dict[str, str]) -> Answer:
        newest = [intent for intent in reversed(self.intents) if intent["customer"] == form["customer"]]
        if after := form.get("starting_after"):
            newest = newest[[intent["id"] for intent in newest].index(after) + 1 :]
        limit = int(form["limit"])
        return 200, {
            "object": "list",
            "url": "/v1/payment_intents",
            "data": newest[:limit],
            "has_more": len(newest) > limit,
        }


def _error(kind: str, message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"type": kind, "message": message, "code": code}}


@contextmanager
def running() -> Iterator[StripeServer]:
    """The server on a free port of this machine."""
    account = StripeServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._reply(dict(parse_qsl(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())))

        def do_GET(self) -> None:
            self._reply(dict(parse_qsl(urlsplit(self.path).query)))

        def _reply(self, form: dict[str, str]) -> None:
            assert self.headers["Authorization"] == "Bearer sk_test_123"
            account.version.add(self.headers["Stripe-Version"])
            key = self.headers.get("Idempotency-Key") if self.command == "POST" else None
            status, body = account.answer(self.command, urlsplit(self.path).path, form, key)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Request-Id", "req_123")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    account.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield account
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
