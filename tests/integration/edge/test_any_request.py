"""Any request at all: schemathesis makes requests of the API's own contract, such as it allows and such as it forbids,
and everybody sends each of them: nobody in particular, an owner, a plain member, an operator, a program with a key. In
the usual depth of the tests those that carry nothing that exists are sent by the owner and the operator alone, and
those that carry what is the other tenant's only by those who have a tenant of their own.

Whatever comes, the answer is none of the server's errors, is what the contract says, and holds nothing of a tenant that
the caller does not belong to. Many requests carry what exists, of the caller's own tenant or of the other one, for what
is made up gets no further than 404. A seed fixes the requests; how many there were is counted, and that each operation
did what it is for at least once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Final, Literal
from urllib.parse import unquote

import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as bounds
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup

from prog_contracts.permissions import SCOPES
from prog_contracts.topics import TOPICS
from prog_edge.access import Needs, Public, Staff
from prog_edge.api import ROUTERS
from prog_edge.api.contract import api_routes, declaration_of
from tests.depth import by_depth
from tests.integration.edge.stage import PASSPHRASE, Person, Stage
from tests.integration.edge.test_isolation import Business, business
from tests.integration.edge.test_roles import change, join
from tests.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow(1)]

Place = Literal["made up", "mine", "theirs"]
PLACES: Final[tuple[Place, ...]] = ("made up", "mine", "theirs")

SEED: Final = 20_261
ALLOWED, FORBIDDEN = 8, 4
"""Requests of each kind for an operation that takes anything at all; every caller sends all of them."""
ALLOWED_FIRST, FORBIDDEN_FIRST = by_depth(usual=(3, 1), thorough=(ALLOWED, FORBIDDEN))
"""So many of them come first: of those that are allowed one for each place at the least. The others follow where those
did not do what the operation is for."""
EVERYBODY: Final = ("nobody", "owner", "member", "operator", "program")
SENDERS: Final[dict[Place, tuple[str, ...]]] = {
    "made up": by_depth(usual=("owner", "operator"), thorough=EVERYBODY),
    "mine": EVERYBODY,
    "theirs": by_depth(usual=("owner", "member", "program"), thorough=EVERYBODY),
}
"""Who sends what: who may do most finds most of what is wrong with what is made up altogether, and to nobody and to the
operator both tenants are the same."""
ANSWER_SECONDS: Final = 60
STREAMED_SECONDS: Final = 0.1
"""For so long a stream is read once its head is there."""
CHECKED: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)

ROUTES: Final = {route.name: route for route in api_routes(ROUTERS) if route.include_in_schema}
STREAMS: Final = {"stream_events"}
UNREADABLE: Final = frozenset({400, 413, 415})
"""A body that cannot be read is refused before anybody asks who sent it."""
TELLS_WHOEVER_ASKS: Final = {
    "list_letters": "the mailbox of a machine for development; there is none in production",
    "get_letter": "the mailbox of a machine for development; there is none in production",
    "login": "who knows the password is the person",
    "refresh": "who holds the token is the person",
}
BEYOND_REACH: Final = {
    "verify_email": "takes a secret that is mailed",
    "reset_password": "takes a secret that is mailed",
    "consume_magic_link": "takes a secret that is mailed",
    "complete_sign_in": "takes a code of an app that nobody has",
    "sign_in_by_passkey": "takes what an authenticator answers",
    "add_passkey": "takes what an authenticator answers",
    "begin_passkey_second_step": "no sign-in waits",
    "begin_passkey_step_up": "nobody has a passkey",
    "rename_passkey": "nobody has a passkey",
    "remove_passkey": "nobody has a passkey",
    "confirm_totp": "takes a code of an app that nobody has",
    "remove_totp": "nobody has confirmed an app",
    "make_recovery_codes": "nobody has confirmed an app",
    "reset_second_factor": "nobody has confirmed an app",
    "accept_invitation": "takes a secret that is mailed",
    "unlink_identity": "nobody has linked an identity",
    "configure_sign_on": "nobody has a provider that answers",
    "claim_domain": "what is made up is no domain",
    "check_domain": "the domain's DNS has no record",
    "claim_custom_domain": "what is made up is no domain",
    "check_custom_domain": "the domain's DNS has no record",
    "tls_allowed": "no custom domain is proven",
    "delete_user": "whoever is there is needed as the owner of a tenant",
    "restore_user": "nobody's account is being deleted",
    "edit_dead_letter": "the one dead letter cannot be read",
    "put_config": "what is made up breaks a rule of colours or addresses",
    "store_logo": "takes a picture, and what is made up shows none",
    "set_avatar": "takes a picture, and what is made up shows none",
    "publish_events": "what is made up breaks a rule of CloudEvents or of the tenant's schema",
    "create_subscription": "each tenant has its one subscription",
    "pay_invoice": "the one invoice is paid",
    "pause_replay": "the one replay is over",
    "resume_replay": "the one replay is over",
    "cancel_replay": "the one replay is over",
    "issue_token": "takes the secret of an OAuth client",
    "introspect_token": "takes the secret of an OAuth client",
    "revoke_token": "takes the secret of an OAuth client",
    "get_userinfo": "takes a token that an OAuth client got",
    "revoke_authorized_client": "nobody has signed in to a client",
}
"""Operations that no request here makes do what they are for. All others must, or nothing of them is tested."""

_MEMBERSHIP: Final = "SELECT to_json(m)::text FROM tenants.members m WHERE user_id = $1"
_REJOIN: Final = """
INSERT INTO tenants.members SELECT * FROM json_populate_record(NULL::tenants.members, $1::text::json)
ON CONFLICT (tenant_id, user_id) DO UPDATE SET role = excluded.role
"""

_STAND: Final = """
UPDATE tenants.tenants
SET status = $2, suspension_reason = CASE $2 WHEN 'suspended' THEN 'unpaid' END,
    status_before = CASE $2 WHEN 'deleting' THEN 'active' END, purge_at = CASE $2 WHEN 'deleting' THEN now() END
WHERE tenant_id = ANY ($1)
"""
BEGINS_WITH: Final = {"resume_tenant": "suspended", "restore_tenant": "deleting"}
"""The status in which an operation finds the tenants; all others find them active, whatever was asked before."""

FRESH: Final = frozenset(
    {
        "delete_tenant",
        "remove_sign_on",
        "release_domain",
        "release_custom_domain",
        "export_tenant",
        "fetch_tenant_export",
    }
)
"""What takes a sign-in of the last ten minutes of the owner."""
SPENDERS: Final = frozenset({"refresh", "logout", "end_session", "issue_token"})
"""What uses up another session of the owner's, for it names one, and finds a new one each time."""
EXPORTS: Final = {
    "export_tenant": ("UPDATE tenants.exports SET moved_at = moved_at - interval '1 day' WHERE export_id = $1",),
    "fetch_tenant_export": (
        "UPDATE tenants.exports SET status = 'expired' WHERE export_id <> $1",
        "UPDATE tenants.exports SET status = 'ready', ready_at = now(), expires_at = '2100-01-01' WHERE export_id = $1",
    ),
}
"""How an operation finds the exports: the owner has asked for one already."""


@dataclass
class Caller:
    """One of those who send everything. `secrets` may be in no answer to them.

    A program has an API key and is no person, nobody in particular has nothing.
    """

    name: str
    secrets: frozenset[str]
    person: Person | None = None
    key: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        credential = self.key if self.person is None else self.person.tokens["access_token"]
        return {} if credential is None else {"Authorization": f"Bearer {credential}"}


@dataclass
class World:
    """Two tenants, everybody who calls the platform, and its contract.

    `known` is what exists, by field; `called_otherwise` by beginning of the path what fields mean there alone.
    """

    stage: Stage
    callers: list[Caller]
    known: dict[Place, dict[str, Any]]
    called_otherwise: Mapping[str, dict[str, Any]]
    membership: str
    contract: Any

    async def prepare(self, operation_id: str) -> None:
        """Requests before may have signed people out, spent a session, left or deleted the tenant: it is what they
        asked for."""
        tenants = [self.known[place]["tenant_id"] for place in ("mine", "theirs")]
        await change(self.stage, _STAND, tenants, BEGINS_WITH.get(operation_id, "active"))
        for tenant_id in tenants:
            self.stage.platform.standings.forget(tenant_id)
        for caller in self.callers:
            person = caller.person
            if person is not None:
                # Within seconds the edge would find out by itself: a session that was ended, or replaced by a step-up.
                self.stage.platform.live_sessions.forget(f"{person.user_id} {person.tokens['session_id']}")
            if person is not None and (await person.request("GET", "/v1/me")).status_code != 200:
                person.tokens = (await self.stage.sign_in(person.email)).tokens
        owner, member = self.callers[1].person, self.callers[2].person
        assert owner is not None
        assert member is not None
        await change(self.stage, _REJOIN, self.membership)
        self.stage.platform.memberships.forget(member.user_id)
        for statement in EXPORTS.get(operation_id, ()):
            await change(self.stage, statement, self.known["mine"]["export_id"])
        if operation_id in FRESH:
            owner.tokens = (await self.stage.sign_in(owner.email)).tokens  # it takes a fresh sign-in
        if operation_id in SPENDERS or "refresh_token" not in self.known["mine"]:
            other = (await self.stage.sign_in(owner.email)).tokens
            self.known["mine"] |= {name: other[name] for name in ("session_id", "refresh_token")}

    def exists(self, place: Place, path: str) -> Mapping[str, Any]:
        """What exists there, as the fields of this path call it."""
        found = self.known[place]
        for prefix, fields in self.called_otherwise.items():
            if found and path.startswith(prefix):
                return found | fields
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(stage: Stage) -> AsyncIterator[World]:
    alpha, omega = await business(stage, "alpha"), await business(stage, "omega")
    member, operator = await join(stage, alpha.owner, "member"), await stage.operator()
    replay = {"group": "events", "reason": "To have one", "reset": True}
    acting = await operator.post(f"/v1/users/{alpha.owner.user_id}/impersonate", {"reason": "To have one"})
    of_platform = {
        "impersonation_id": acting["impersonation"]["id"],
        "replay_id": (await operator.post("/v1/replays", replay))["id"],
        "price_id": (await operator.get("/v1/prices"))["data"][0]["id"],
        "group": replay["group"],
        "reset": True,
    }
    key = await alpha.owner.post("/v1/api-keys", {"name": "A program", "scopes": SCOPES})
    dead = await a_dead_letter(stage, operator)
    load_all_checks()
    contract = schemathesis.openapi.from_dict(stage.app.openapi(), config=schemathesis.Config())
    contract.config.generation.with_security_parameters = False  # each caller has a credential of its own, or none
    usual, stage.platform.heartbeat_seconds = stage.platform.heartbeat_seconds, STREAMED_SECONDS / 4
    yield World(
        stage,
        [
            Caller("nobody", frozenset(alpha.marks | omega.marks)),
            Caller("owner", frozenset(omega.marks), alpha.owner),
            Caller("member", frozenset(omega.marks), member),
            Caller("operator", frozenset(), operator),
            Caller("program", frozenset(omega.marks), key=key["key"]),
        ],
        {
            "made up": {},
            "mine": await known_of(stage, alpha) | of_platform | {"password": PASSPHRASE},
            "theirs": await known_of(stage, omega) | of_platform,
        },
        {
            "/v1/tenants": {"user_id": member.user_id},
            "/v1/auth/step-up": {"code": None, "passkey": None},
            "/v1/auth": {"email": alpha.owner.email},
            "/v1/oauth-clients": {
                "confidential": True,
                "grants": ["client_credentials"],
                "scopes": ["event.read"],
                "redirect_uris": [],
                "post_logout_redirect_uris": [],
                "backchannel_logout_uri": None,
            },
            "/v1/dead-letters": {"letter_id": dead, "ids": [dead], "group": None, "fingerprint": None},
        },
        await stage.administrator.fetchval(_MEMBERSHIP, member.user_id),
        contract,
    )
    stage.platform.heartbeat_seconds = usual


async def known_of(stage: Stage, business: Business) -> dict[str, Any]:
    """What fields, in paths and bodies alike, may say to mean something of this tenant."""
    letters = (await stage.http.get("/v1/mailbox", params={"to": business.owner.email})).json()["data"]
    return business.ids | {
        "at": "2027-01-31T00:00:00Z",
        "data": {"any": "thing"},
        "datacontenttype": "application/json",
        "letter_id": letters[0]["id"],
        "payment_method": "pm_ok",
        "schema": {"type": "object"},
        "schemaversion": 1,
        "session_id": business.owner.tokens["session_id"],
        "source": "/any-request",
        "to": "2027-02-28T00:00:00Z",
        "token": "pm_ok",
        "type": business.ids["type_name"],
    }


async def a_dead_letter(stage: Stage, operator: Person) -> str:
    await stage.platform.redis.xadd(TOPICS["prog.users.commands"].stream(0), {"ce": "{}", "data": "{}"})
    found: list[str] = []

    async def there() -> bool:
        found.extend(letter["id"] for letter in (await operator.get("/v1/dead-letters"))["data"])
        return bool(found)

    await wait_until(there, within_seconds=60, what="the dead letter")
    return found[0]


@pytest.mark.parametrize("operation_id", ROUTES)
async def test_whatever_is_asked_the_answer_keeps_to_the_contract(world: World, operation_id: str) -> None:
    await world.prepare(operation_id)
    exam = Exam(world, operation_id)
    # Here and not aside: what else runs meanwhile takes random numbers too, and these are to be the same every time.
    allowed = made(exam.operation, GenerationMode.POSITIVE, ALLOWED_FIRST)
    forbidden = made(exam.operation, GenerationMode.NEGATIVE, FORBIDDEN_FIRST)
    await asyncio.to_thread(exam.take, allowed + forbidden)
    if operation_id not in BEYOND_REACH and not exam.succeeded and len(allowed) == ALLOWED_FIRST < ALLOWED:
        more = made(exam.operation, GenerationMode.POSITIVE, ALLOWED)[len(allowed) :]
        await asyncio.to_thread(exam.take, more)
        allowed += more

    assert not exam.wrong, f"{len(exam.wrong)} of {exam.answers.total()} answers:\n\n" + "\n\n".join(exam.wrong[:3])
    refuses_some = bool(exam.operation.body) or bool(exam.operation.query)
    assert len(allowed) >= (ALLOWED_FIRST if any(exam.operation.iter_parameters()) or refuses_some else 1)
    assert len(forbidden) >= (FORBIDDEN_FIRST if refuses_some else 0)
    assert exam.answers.total() == sum(len(SENDERS[place]) for _, place in allowed + forbidden)
    if operation_id not in BEYOND_REACH:
        assert exam.succeeded, f"it never did what it is for: {exam.answers}"


class Exam:
    """All that is asked of one operation: the answers by caller and status, and what was wrong with them."""

    def __init__(self, world: World, operation_id: str) -> None:
        self.world = world
        self.operation = world.contract.find_operation_by_id(operation_id)
        self.answers: Counter[tuple[str, int]] = Counter()
        self.wrong: list[str] = []
        self._operation_id = operation_id
        self._declared = declaration_of(ROUTES[operation_id])
        self._checks: list[Any] = [CHECKS.get_one(name) for name in CHECKED]

    @property
    def succeeded(self) -> bool:
        """The operation did what it is for, at least once."""
        return any(200 <= status < 300 for _, status in self.answers)

    def take(self, asked: list[tuple[Case[Any], Place]]) -> None:
        with requests.Session() as session:
            session.trust_env = False
            for case, place in asked:
                put_in(case, self.world.exists(place, case.path), tenant=not isinstance(self._declared, Staff))
                for caller in self.world.callers:
                    if caller.name in SENDERS[place]:
                        self._ask(session, case, place, caller)

    def _ask(self, session: requests.Session, case: Case[Any], place: Place, caller: Caller) -> None:
        response = self._answer(session, case, caller)
        self.answers[caller.name, response.status_code] += 1
        # What was put in may be right where the contract forbade what was there.
        more: list[Any] = [CHECKS.get_one("negative_data_rejection")] if place == "made up" else []
        try:
            case.validate_response(response, checks=self._checks + more, headers=caller.headers)
            self._judge(response, caller)
        except (AssertionError, FailureGroup) as error:
            self.wrong.append(f"{caller.name}, {place}: {error}\n{case!r}")

    def _judge(self, response: schemathesis.Response, caller: Caller) -> None:
        """What no contract says: who gets what at all, and that it is nothing of somebody else's."""
        declared, status = self._declared, response.status_code
        if caller.name == "program" and not isinstance(declared, Public | None):
            takes_keys = isinstance(declared, Needs) and declared.keys
            assert takes_keys or status in (403, 404) or status in UNREADABLE, f"{status} with an API key"
            assert status != 401, "the key is good"
        if caller.name == "nobody" and not isinstance(declared, Public | None):
            assert status == 401 or status in UNREADABLE, f"{status} without a credential"
        if isinstance(declared, Staff) and caller.name != "operator":
            assert status >= 400, f"{status} for no staff"
        if self._operation_id not in TELLS_WHOEVER_ASKS:
            asked = unquote(response.request.url or "") + str(response.request.body)
            shown = {mark for mark in caller.secrets if mark.encode() in response.content and mark not in asked}
            assert not shown, f"{shown} of another tenant"

    def _answer(self, session: requests.Session, case: Case[Any], caller: Caller) -> schemathesis.Response:
        base_url = self.world.stage.settings.public_url
        if self._operation_id not in STREAMS:
            return case.call(base_url=base_url, session=session, headers=caller.headers, timeout=ANSWER_SECONDS)
        request = case.as_transport_kwargs(base_url=base_url, headers=caller.headers)
        with session.request(**request, stream=True, timeout=ANSWER_SECONDS) as response:
            ends, read = time.monotonic() + STREAMED_SECONDS, bytearray()
            for chunk in response.iter_content(None):
                read += chunk
                if time.monotonic() > ends:
                    break
            response._content = bytes(read)
            return schemathesis.Response.from_requests(response, verify=False)


def made(operation: Any, mode: GenerationMode, count: int) -> list[tuple[Case[Any], Place]]:
    """Requests for an operation, the same ones every time; none where the contract forbids nothing."""
    found: list[tuple[Case[Any], Place]] = []
    places = cycle(PLACES)

    @bounds(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @seed(SEED)
    @given(operation.as_strategy(generation_mode=mode))
    def collect(case: Case[Any]) -> None:
        found.append((case, next(places)))

    with suppress(Unsatisfiable):
        collect()
    return found


def put_in(case: Case[Any], exists: Mapping[str, Any], *, tenant: bool) -> None:
    """Replaces what was made up by what exists, as far as the request has such fields; names the `tenant` as well."""
    for fields in (case.path_parameters, *(case.body if isinstance(case.body, list) else [case.body])):
        if isinstance(fields, dict):
            fields.update({name: exists[name] for name in fields.keys() & exists.keys()})
    if exists and any(parameter.name == "If-Match" for parameter in case.operation.headers):
        case.headers["If-Match"] = "*"
    if tenant and exists and any(parameter.name == "Prog-Tenant" for parameter in case.operation.headers):
        case.headers["Prog-Tenant"] = exists["tenant_id"]
