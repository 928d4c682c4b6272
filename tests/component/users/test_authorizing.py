"""People sign in to clients, on a real database. `check_N` in a name is the number of the security review's check."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import jwt
import pytest

from prog_broker.replies import Answer
from prog_contracts.accounts import TokenSet
from prog_contracts.actors import actor_of_key
from prog_contracts.credentials import user_of_client_refresh_token
from prog_contracts.email import SendMail
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.oauth import (
    AuthorizationEnded,
    AuthorizeClient,
    ClientAuthorized,
    ClientRemoved,
    CodeExchangeRefused,
    ConsentDenied,
    ConsentGiven,
    DeclineClient,
    ExchangeCode,
    IssueClientToken,
    IssuedTokens,
    RefreshAuthorization,
    RegisterClient,
    RemoveClient,
    RevokeConsent,
    RevokeToken,
    RollClientSecret,
    UpdateClient,
)
from prog_contracts.tenants import MemberRemoved, TenantDeleted
from prog_contracts.users import PurgeCredentials
from prog_kit.secrets import TOKEN, Sealer
from prog_workers.users.handlers.clients import digest_of
from prog_workers.users.rules import clients as rules
from tests.component.harness import SECRET_KEYS, Harness
from tests.component.users.people import Person, code

TENANT = new_id("tenant")
BACK = "https://shop.example/back"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
ALL = ("openid", "profile", "email", "offline_access")
NEW = ("fedcba9876543210" * 4,)


class Shop:
    """A client, and a person who signs in to it."""

    def __init__(self, person: Person, session: TokenSet) -> None:
        self.platform, self.person, self.session = person.platform, person, session
        self.id = new_id("client")

    async def ask(self, command: Any, *, actor: str | None = None, tenant_id: str = TENANT) -> Answer:
        return await self.platform.request(command, tenant_id=tenant_id, actor=actor)

    async def register(self, **changes: Any) -> Answer:
        wish = {
            "name": "Shop",
            "secret_digest": digest_of(self.id),
            "secret_hint": "abcdef",
            "redirect_uris": (BACK,),
            "grants": ("authorization_code", "refresh_token"),
            "scopes": ALL,
        }
        command = RegisterClient(client_id=self.id, tenant_id=TENANT, **wish | changes)
        return await self.ask(command, actor=self.person.user_id)

    async def authorize(self, *, actor: str | None = None, **changes: Any) -> Answer:
        wish = {
            "redirect_uri": BACK,
            "scopes": ALL,
            "code_challenge": CHALLENGE,
            "by_session_id": self.session.session_id,
            "consents": True,
        }
        user_id = self.person.user_id
        command = AuthorizeClient(client_id=self.id, user_id=user_id, **wish | changes)
        return await self.ask(command, actor=actor or user_id)

    async def code(self, **changes: Any) -> str:
        answer = await self.authorize(**changes)
        assert answer.result is not None, answer
        return str(answer.result["code"])

    async def exchange(self, text: str, **changes: Any) -> Answer:
        sealed = {"sealed_code": self.seal(text), "sealed_verifier": self.seal(changes.pop("verifier", VERIFIER))}
        command = ExchangeCode(**{"client_id": self.id, "redirect_uri": BACK} | sealed | changes)
        return await self.ask(command, actor=self.id)

    async def tokens(self, **changes: Any) -> IssuedTokens:
        answer = await self.exchange(await self.code(**changes))
        assert answer.status == "succeeded", answer
        return IssuedTokens.model_validate(answer.result)

    async def refresh(self, token: str | None, **changes: Any) -> Answer:
        assert token is not None
        user_id = user_of_client_refresh_token(token)
        assert user_id is not None
        command = RefreshAuthorization(
            client_id=self.id, user_id=user_id, sealed_refresh_token=self.seal(token), **changes
        )
        return await self.ask(command, actor=self.id)

    def seal(self, text: str) -> str:
        return self.platform.seal(text, TOKEN)

    async def reasons(self) -> list[str]:
        return [event.reason for event in await self.platform.events(AuthorizationEnded)]


@pytest.fixture
async def shop(ada: Person) -> Shop:
    await ada.become_verified()
    shop = Shop(ada, await ada.tokens())
    assert (await shop.register()).status == "succeeded"
    return shop


async def test_what_a_sign_in_leaves_behind_holds_no_secret_and_no_address(platform: Harness, shop: Shop) -> None:
    text = await shop.code(nonce="n")
    issued = IssuedTokens.model_validate((await shop.exchange(text)).result)
    claims = jwt.decode(issued.id_token or "", options={"verify_signature": False})
    assert (claims["sub"], claims["email"], claims["nonce"]) == (shop.person.user_id, shop.person.email, "n")
    [authorized] = await platform.events(ClientAuthorized, tenant_id=TENANT)
    assert (authorized.scopes, authorized.consented) == (ALL, True)
    assert len(await platform.events(ConsentGiven, tenant_id=TENANT)) == 1
    [mail] = [mail for mail in await platform.events(SendMail) if mail.template == "app_connected"]
    assert (mail.to, mail.data["app_name"]) == (shop.person.email, "Shop")
    assert not await platform.events(SendMail, tenant_id=TENANT), "it is the platform's mail"
    log = await platform.fetch(
        "SELECT convert_from(data, 'UTF8') AS text FROM bus.event_log WHERE tenant_id = $1", TENANT
    )
    told = "\n".join(row["text"] for row in log)
    kept = ""
    for table in ("codes", "access_tokens", "refresh_tokens", "authorizations", "clients"):
        kept += str([dict(row) for row in await platform.fetch(f"SELECT * FROM users.oauth_{table}")])
    for secret in (text, issued.access_token, str(issued.refresh_token), VERIFIER):
        assert secret not in told + kept
        assert secret[-40:] not in told + kept, "the random part, without the ids before it"
    assert shop.person.email not in told


async def test_consent_is_asked_for_more_and_never_for_less(platform: Harness, shop: Shop) -> None:
    assert code(await shop.authorize(consents=False)) == "consent_required"
    await shop.code(scopes=("openid", "email"))
    await shop.code(scopes=("openid",), consents=False)
    assert code(await shop.authorize(scopes=("openid", "profile"), consents=False)) == "consent_required"
    await shop.code(scopes=("openid", "profile"))
    await shop.code(scopes=("openid", "profile", "email"), consents=False)
    assert [event.scopes for event in await platform.events(ConsentGiven)] == [
        ("openid", "email"), ("openid", "profile", "email"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        ({"actor": new_id("user")}, "not_permitted"),
        ({"redirect_uri": BACK + "/"}, "redirect_uri_unknown"),
        ({"scopes": ("email",)}, "invalid_scope"),
        ({"code_challenge": ""}, "invalid_grant"),
        ({"code_challenge": "plain-text"}, "invalid_grant"),
        ({"by_session_id": new_id("session")}, "session_not_found"),
    ],
)
async def test_check_18_a_code_is_made_for_a_whole_request_alone(shop: Shop, wrong: Any, refusal: str) -> None:
    assert code(await shop.authorize(**wrong)) == refusal


async def test_check_18_each_refused_code_is_recorded_with_its_reason(platform: Harness, shop: Shop) -> None:
    other = Shop(shop.person, shop.session)
    await other.register(name="Other")
    for wrong in ({"verifier": "w" * 43}, {"redirect_uri": "https://elsewhere.example"}):
        assert code(await shop.exchange(await shop.code(), **wrong)) == "invalid_grant"
    text = await shop.code()
    assert code(await shop.exchange(text, client_id=other.id)) == "invalid_grant"
    assert (await shop.exchange(text)).status == "succeeded"
    assert code(await shop.exchange(text)) == "invalid_grant"
    late = await shop.code()
    platform.clock.at += rules.CODE_LIFETIME
    assert code(await shop.exchange(late)) == "invalid_grant"
    assert code(await shop.exchange("prog_code_" + "a" * 43)) == "invalid_grant"
    assert [event.reason for event in await platform.events(CodeExchangeRefused)] == [
        "wrong_verifier", "wrong_redirect_uri", "wrong_client", "reused", "expired", "unknown",
    ]  # fmt: skip
    assert await shop.reasons() == ["code_reused"]


async def test_check_18_a_code_ends_with_the_session_in_which_it_was_made(shop: Shop) -> None:
    text = await shop.code()
    await shop.person.change_password(shop.session, "another sentence that is good")
    assert code(await shop.exchange(text)) == "invalid_grant"


async def test_check_15_two_that_refresh_at_once_share_one_successor_also_across_a_rotation_of_keys(
    platform: Harness, shop: Shop
) -> None:
    first = (await shop.tokens()).refresh_token
    second = IssuedTokens.model_validate((await shop.refresh(first)).result).refresh_token
    platform.sealer = Sealer(NEW + SECRET_KEYS)
    platform.processors["users"].sealer = platform.sealer
    repeated = IssuedTokens.model_validate((await shop.refresh(first)).result).refresh_token
    assert repeated == second != first
    platform.clock.at += timedelta(seconds=11)
    assert code(await shop.refresh(first)) == "invalid_grant"
    assert code(await shop.refresh(second)) == "invalid_grant"
    assert await shop.reasons() == ["refresh_reused"]


async def test_an_authorization_ends_when_idle_and_in_any_case_after_ninety_days(platform: Harness, shop: Shop) -> None:
    idle = (await shop.tokens()).refresh_token
    busy = (await shop.tokens()).refresh_token
    for _ in range(6):
        platform.clock.at += timedelta(days=13)
        busy = IssuedTokens.model_validate((await shop.refresh(busy)).result).refresh_token
    platform.clock.at += timedelta(days=13)
    assert code(await shop.refresh(busy)) == "invalid_grant", "91 days"
    assert code(await shop.refresh(idle)) == "invalid_grant"
    assert await shop.reasons() == ["expired", "expired"]


async def test_a_disabled_person_s_clients_get_no_more(platform: Harness, shop: Shop) -> None:
    token = (await shop.tokens()).refresh_token
    await platform.admin.execute("UPDATE users.users SET status = 'disabled'")
    assert code(await shop.refresh(token)) == "invalid_grant"
    assert code(await shop.authorize()) == "session_not_found"


async def test_a_client_gives_back_its_own_tokens_alone(platform: Harness, shop: Shop) -> None:
    tokens = await shop.tokens()
    other = Shop(shop.person, shop.session)
    await other.register(name="Other")
    for client, token in ((other, tokens.access_token), (other, tokens.refresh_token), (shop, "x")):
        await client.ask(RevokeToken(client_id=client.id, sealed_token=client.seal(str(token))), actor=client.id)
    assert await shop.reasons() == []
    newer = IssuedTokens.model_validate((await shop.refresh(tokens.refresh_token)).result)
    command = RevokeToken(client_id=shop.id, sealed_token=shop.seal(str(newer.refresh_token)))
    await shop.ask(command, actor=shop.id)
    assert await shop.reasons() == ["revoked"]
    assert code(await shop.refresh(newer.refresh_token)) == "invalid_grant"


async def test_only_the_person_takes_consent_back(shop: Shop) -> None:
    token = (await shop.tokens()).refresh_token
    command = RevokeConsent(client_id=shop.id, user_id=shop.person.user_id)
    for stranger in (new_id("user"), "prog-edge", shop.id, None):
        assert code(await shop.ask(command, actor=stranger)) == "not_permitted"
    assert (await shop.ask(command, actor=shop.person.user_id)).status == "succeeded"
    assert code(await shop.ask(command, actor=shop.person.user_id)) == "consent_not_found"
    assert code(await shop.refresh(token)) == "invalid_grant"


async def test_clients_are_changed_by_people_of_their_own_tenant_alone(shop: Shop) -> None:
    person, other_tenant = shop.person.user_id, new_id("tenant")
    commands = (
        UpdateClient(client_id=shop.id, tenant_id=TENANT, name="Stolen"),
        RollClientSecret(client_id=shop.id, tenant_id=TENANT, secret_digest="0" * 64, secret_hint="x", grace_seconds=0),
        RemoveClient(client_id=shop.id, tenant_id=TENANT),
    )
    for command in commands:
        for actor in (actor_of_key(person, new_id("apikey")), actor_of_key(person, shop.id), shop.id, "prog-edge"):
            assert code(await shop.ask(command, actor=actor)) == "not_permitted"
        assert code(await shop.ask(command, actor=person, tenant_id=other_tenant)) == "client_not_found"
        elsewhere = command.model_copy(update={"tenant_id": other_tenant})
        assert code(await shop.ask(elsewhere, actor=person, tenant_id=other_tenant)) == "client_not_found"


async def test_a_client_s_own_tokens_end_with_its_holder_s_membership(platform: Harness, shop: Shop) -> None:
    machine = Shop(shop.person, shop.session)
    wish = {"redirect_uris": (), "grants": ("client_credentials",), "scopes": ("event.read",)}
    await machine.register(name="Machine", **wish)
    itself = actor_of_key(shop.person.user_id, machine.id)
    command = IssueClientToken(client_id=machine.id, scopes=("event.read",))
    assert (await machine.ask(command, actor=itself)).status == "succeeded"
    for actor in (machine.id, shop.person.user_id, actor_of_key(shop.person.user_id, shop.id)):
        assert code(await machine.ask(command, actor=actor)) == "not_permitted"
    beyond = IssueClientToken(client_id=machine.id, scopes=("event.read", "billing.read"))
    assert code(await machine.ask(beyond, actor=itself)) == "invalid_scope"
    left = MemberRemoved(
        tenant_id=TENANT, user_id=shop.person.user_id, email="a@b.example", name="A", role="admin", reason="left"
    )
    await platform.publish(left, tenant_id=TENANT)
    assert await platform.fetch("SELECT FROM users.oauth_client_tokens") == []
    assert code(await machine.ask(command, actor=itself)) == "unauthorized_client"
    assert (await shop.authorize()).status == "succeeded", "people sign in all the same"


async def test_check_17_whoever_knows_the_secret_before_gains_nothing_by_another_being_made(
    platform: Harness, shop: Shop
) -> None:
    bob = Person(platform, email="bob@example.com", name="Bob")
    await bob.become_verified()
    machine = Shop(shop.person, shop.session)
    wish = {"redirect_uris": (), "grants": ("client_credentials",), "scopes": ("event.read",)}
    await machine.register(name="Machine", **wish)
    roll = RollClientSecret(
        client_id=machine.id, tenant_id=TENANT, secret_digest="0" * 64, secret_hint="abcdef", grace_seconds=3600
    )
    assert (await machine.ask(roll, actor=bob.user_id)).status == "succeeded"
    command = IssueClientToken(client_id=machine.id, scopes=("event.read",))
    of_ada, of_bob = (actor_of_key(each.user_id, machine.id) for each in (shop.person, bob))
    for actor in (of_ada, of_bob):
        assert (await machine.ask(command, actor=actor)).status == "succeeded"
    tokens = await platform.fetch("SELECT held_by FROM users.oauth_client_tokens ORDER BY issued_at, held_by")
    assert {row["held_by"] for row in tokens} == {shop.person.user_id, bob.user_id}, "each within their own rights"
    left = MemberRemoved(
        tenant_id=TENANT, user_id=shop.person.user_id, email="a@b.example", name="A", role="admin", reason="removed"
    )
    await platform.publish(left, tenant_id=TENANT)
    assert code(await machine.ask(command, actor=of_ada)) == "unauthorized_client"
    assert (await machine.ask(command, actor=of_bob)).status == "succeeded"
    kept = await platform.fetch("SELECT held_by FROM users.oauth_client_tokens")
    assert {row["held_by"] for row in kept} == {bob.user_id}
    again = roll.model_copy(update={"secret_digest": "1" * 64})
    assert (await machine.ask(again, actor=bob.user_id)).status == "succeeded"
    platform.clock.at += timedelta(hours=1)
    assert (await machine.ask(command, actor=of_bob)).status == "succeeded"


async def test_with_the_tenant_its_clients_end(platform: Harness, shop: Shop) -> None:
    token = (await shop.tokens()).refresh_token
    await platform.publish(TenantDeleted(tenant_id=TENANT), tenant_id=TENANT)
    [removed] = await platform.events(ClientRemoved)
    assert (removed.client_id, removed.authorizations_ended) == (shop.id, 1)
    for table in ("clients", "consents", "codes", "authorizations", "access_tokens", "refresh_tokens"):
        assert await platform.fetch(f"SELECT FROM users.oauth_{table}") == [], table
    assert code(await shop.refresh(token)) == "invalid_grant"
    assert code(await shop.authorize()) == "client_not_found"


async def test_what_is_past_its_time_is_cleared_away(platform: Harness, shop: Shop) -> None:
    await shop.tokens()
    await shop.code()
    platform.clock.at += timedelta(days=60)
    await platform.request(PurgeCredentials(), tenant_id=PLATFORM_TENANT_ID, actor="prog-scheduler")
    for table in ("codes", "access_tokens", "refresh_tokens", "authorizations"):
        assert await platform.fetch(f"SELECT FROM users.oauth_{table}") == [], table
    assert len(await platform.fetch("SELECT FROM users.oauth_consents")) == 1, "it was not taken back"


async def test_declining_is_written_down_and_lets_nothing_be_known(platform: Harness, shop: Shop) -> None:
    command = DeclineClient(
        client_id=shop.id,
        user_id=shop.person.user_id,
        by_session_id=shop.session.session_id,
        scopes=("openid", "email"),
    )
    assert code(await shop.ask(command, actor=new_id("user"))) == "not_permitted"
    assert (await shop.ask(command, actor=shop.person.user_id)).status == "succeeded"
    [denied] = await platform.events(ConsentDenied)
    assert (denied.client_id, denied.user_id, denied.scopes) == (shop.id, shop.person.user_id, ("openid", "email"))
    assert await platform.fetch("SELECT FROM users.oauth_consents") == []
    elsewhere = await shop.ask(command, actor=shop.person.user_id, tenant_id=new_id("tenant"))
    assert code(elsewhere) == "client_not_found"


async def test_the_port_of_the_own_machine_does_not_count_for_an_app_without_a_secret(shop: Shop) -> None:
    shop.id = new_id("client")
    public = {"secret_digest": None, "secret_hint": None, "redirect_uris": ("http://127.0.0.1/back",)}
    assert (await shop.register(**public)).status == "succeeded"
    assert (await shop.authorize(redirect_uri="http://127.0.0.1:49152/back")).status == "succeeded"
    for other in ("http://127.0.0.1:49152/other", "http://localhost:49152/back"):
        assert code(await shop.authorize(redirect_uri=other)) == "redirect_uri_unknown"
