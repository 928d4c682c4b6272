"""Requests that outlive a process being killed: they are repeated with the same Idempotency-Key until a deadline."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx

from prog_infra.errors import OperatorError

DEADLINE_SECONDS: Final = 60.0
HELLO_SECONDS: Final = 3.0
REQUEST_SECONDS: Final = 15.0
PAGE: Final = 200

_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 1.0
_AWAY: Final = frozenset({429, 502, 503, 504})
_KEY_IN_USE: Final = "idempotency_key_in_use"
"""The first try of this request is at work, or its process died: the platform frees such a key after some seconds."""

Value = TypeVar("Value")


class StoryError(Exception):
    """The story cannot go on: the platform answered otherwise than it promises, or not in time."""


class Refused(StoryError):
    """The platform refused a request with `status`."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a request is made: an access token, and the tenant that is meant."""

    access_token: str
    tenant_id: str | None = None

    def headers(self) -> dict[str, str]:
        tenant = {} if self.tenant_id is None else {"Prog-Tenant": self.tenant_id}
        return {"Authorization": f"Bearer {self.access_token}", **tenant}


class Api:
    """The platform's HTTP API at one address."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=REQUEST_SECONDS, transport=transport)

    def close(self) -> None:
        self._client.close()

    def hello(self) -> None:
        """Raises OperatorError when nothing answers, or something that is no platform."""
        remedy = "start the platform with `prog up`, or name another one with --url"

        def look() -> httpx.Response | None:
            try:
                return self._client.get("/healthz")
            except httpx.HTTPError:
                return None

        try:
            answer = wait_for("an answer", look, HELLO_SECONDS)
        except StoryError:
            raise OperatorError(f"nothing answers at {self.url}", remedy=remedy) from None
        if not answer.is_success:
            raise OperatorError(f"{self.url} is no running platform: {answer.status_code}", remedy=remedy)

    def get(self, path: str, by: Caller | None = None, **query: Any) -> dict[str, Any]:
        answer = self._repeat("GET", path, by, {}, params={k: v for k, v in query.items() if v is not None})
        body: dict[str, Any] = answer.json()
        return body

    def read(self, path: str, by: Caller | None = None) -> bytes:
        """The bytes of a resource that is no JSON."""
        return self._repeat("GET", path, by, {}).content

    def pages(self, path: str, by: Caller | None = None, **query: Any) -> Iterator[dict[str, Any]]:
        """Every item of a list."""
        cursor = None
        while True:
            page = self.get(path, by, limit=PAGE, cursor=cursor, **query)
            yield from page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def post(self, path: str, body: Mapping[str, Any], by: Caller | None = None) -> dict[str, Any]:
        """What the write came to. One answered with 202 is followed to its end; then it is the domain's result.

        Of somebody who is not signed in it is not followed, and the result is empty: such a person waits for the mail.
        """
        key = {"Idempotency-Key": str(uuid.uuid4())}
        answer = self._repeat("POST", path, by, key, json=dict(body))
        if answer.status_code == httpx.codes.ACCEPTED:
            return {} if by is None else self.operation(answer.headers["Location"], by)
        result: dict[str, Any] = {} if answer.status_code == httpx.codes.NO_CONTENT else answer.json()
        return result

    def operation(self, location: str, by: Caller) -> dict[str, Any]:
        """The result of an operation, once it has succeeded. It may become visible only with what it makes."""

        def ended() -> dict[str, Any] | None:
            try:
                found = self.get(location, by)
            except Refused as error:
                if error.status != httpx.codes.NOT_FOUND:
                    raise
                return None
            return None if found["status"] == "pending" else found

        operation = wait_for(f"operation {location.rpartition('/')[2]}", ended)
        if operation["status"] != "succeeded":
            raise StoryError(f"{location} failed: {operation['error']}")
        return operation["result"] or {}

    def _repeat(
        self, method: str, path: str, by: Caller | None, headers: Mapping[str, str], **options: Any
    ) -> httpx.Response:
        headers = {**headers, **(by.headers() if by else {})}
        deadline, pause, trouble = time.monotonic() + DEADLINE_SECONDS, _PAUSE_SECONDS, ""
        while time.monotonic() < deadline:
            try:
                answer = self._client.request(method, path, headers=headers, **options)
            except httpx.TransportError as error:
                trouble = f"{type(error).__name__}: {error}"
            else:
                code = _code(answer)
                if answer.is_success:
                    return answer
                trouble = f"{answer.status_code} {code}"
                if answer.status_code not in _AWAY and code != _KEY_IN_USE:
                    told = f"{method} {path} was answered with {trouble}: {answer.text[:300]}"
                    raise Refused(told, answer.status_code)
                pause = max(pause, min(_seconds(answer.headers.get("Retry-After")), _LONGEST_PAUSE_SECONDS))
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        raise StoryError(f"{method} {path} had no good answer in {DEADLINE_SECONDS:.0f} s; last: {trouble}")


def wait_for(what: str, look: Callable[[], Value | None], seconds: float = DEADLINE_SECONDS) -> Value:
    """What `look` finds, asked until it finds something. Raises StoryError at the deadline."""
    deadline = time.monotonic() + seconds
    pause = _PAUSE_SECONDS / 2
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise StoryError(f"waited {seconds:.0f} s in vain for: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS / 4)


def _code(answer: httpx.Response) -> str:
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        return str(answer.json().get("code", ""))
    return ""


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdecimal() else 0.0
