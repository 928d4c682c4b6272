"""Identities of other providers: sign in or up with one, link and unlink it, step up with it.

What the provider told was checked at the edge, which sealed it: here it is believed for as long as it is fresh. An
identity opens the account that it was linked to, whatever address it comes with. One that belongs to nobody makes an
account for an address that has none; where the address has one, its person proves that first (`sign_in_and_link`, or
`link_identity` from a session), for a provider's word alone takes nobody's account over.
"""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import ValidationError

from prog_broker.domain import Finish, Work
from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.accounts import AccountToProve
from prog_contracts.errors import Denied
from prog_contracts.identities import (
    IdentityLinked,
    IdentityRefused,
    IdentityUnlinked,
    LinkIdentity,
    ProvenIdentity,
    SignInAndLink,
    SignInWithIdentity,
    StepUpWithIdentity,
    UnlinkIdentity,
)
from prog_contracts.ids import new_id
from prog_contracts.messages import Event
from prog_contracts.second_factors import StepUpDenied
from prog_contracts.sign_on import AdmitSignedOn
from prog_contracts.users import EmailVerified, SessionEnded, SignInMethod, UserCreated
from prog_kit import secrets
from prog_workers.users import errors, rules, store
from prog_workers.users.handlers.domain import open_sealed, step_up_missing, users
from prog_workers.users.handlers.sessions import by_password, let_in, open_session

Refusal = Literal[
    "no_address",
    "account_exists",
    "disabled",
    "too_old",
    "other_account",
    "other_address",
    "other_domain",
    "sign_on_only",
]
assert set(get_args(Refusal)) == set(get_args(IdentityRefused.model_fields["reason"].annotation))

AnyCommand = SignInWithIdentity | SignInAndLink | LinkIdentity | StepUpWithIdentity


@users.handles(SignInWithIdentity)
async def sign_in_with_identity(command: SignInWithIdentity, tx: Transaction) -> Reply:
    """Lets in whoever has a linked identity, as a password would: a second factor is asked for all the same."""
    proven = _opened(tx, command)
    if not rules.identity_is_fresh(proven.proven_at, tx.now):
        return _refused(tx, command, proven, "too_old", errors.identity_too_old())
    address = rules.first_address(proven.emails)
    if proven.tenant_id is not None and not await _speaks_for(tx, proven.tenant_id, address):
        return _refused(tx, command, proven, "other_domain", errors.other_domain(proven.title))
    linked = await store.linked_identity(tx, proven)
    if linked is not None:
        user = await store.user_by_id(tx, linked.user_id)
        if user is None or user.status != "active":
            return _refused(tx, command, proven, "disabled", errors.identity_opens_nothing(), linked.user_id)
        if not await _still_speaks_for(tx, proven, user):
            return _refused(tx, command, proven, "other_domain", errors.other_domain(proven.title), user.user_id)
        await store.note_identity_use(tx, linked.identity_id, address)
        return await _enter(tx, user, command, proven)
    if address is None:
        return _refused(tx, command, proven, "no_address", errors.no_verified_address(proven.title))
    return await _first_sign_in(tx, command, proven, address)


async def _speaks_for(tx: Transaction, tenant_id: str, address: str | None) -> bool:
    """Whether a tenant's provider may say whose an address is: the tenant has proven the address's domain."""
    rule = None if address is None else await store.sign_on_rule(tx, address)
    return rule is not None and rule.tenant_id == tenant_id


async def _still_speaks_for(tx: Transaction, proven: ProvenIdentity, user: store.User) -> bool:
    """Whether a provider may open the account that it was linked to: a tenant's may no more, once the domain of the
    account's own address is not the tenant's any more, whatever address the provider comes with."""
    return proven.tenant_id is None or await _speaks_for(tx, proven.tenant_id, user.email)


async def _enter(
    tx: Transaction, user: store.User, command: SignInWithIdentity, proven: ProvenIdentity, *events: Event
) -> Reply:
    """Lets a person in with an identity of theirs, unless their tenant asks for its own provider's."""
    if proven.tenant_id is None:
        if await store.must_sign_on(tx, user):
            return _refused(tx, command, proven, "sign_on_only", errors.identity_opens_nothing(), user.user_id)
        return await let_in(tx, user, "social", command, *events)
    _admit(tx, user, proven.tenant_id)
    return await let_in(tx, user, "sign_on", command, *events, signed_on=proven.tenant_id)


def _admit(tx: Transaction, user: store.User, tenant_id: str) -> None:
    """Has the tenant make a member of them."""
    admit = AdmitSignedOn(tenant_id=tenant_id, user_id=user.user_id, email=user.email, name=user.name)
    tx.send(admit, tenant_id=tenant_id)


async def _first_sign_in(tx: Transaction, command: SignInWithIdentity, proven: ProvenIdentity, address: str) -> Reply:
    """Makes an account, or takes over one that nobody verified; any other is its person's, who has to prove that."""
    if proven.tenant_id is None and rules.is_bound(await store.sign_on_rule(tx, address), None):
        known = await store.user_by_email(tx, address)
        if known is None or await store.must_sign_on(tx, known):
            return _refused(tx, command, proven, "sign_on_only", errors.identity_opens_nothing())
    name, user_id = rules.name_of_identity(proven.name, address), new_id("user")
    verified = EmailVerified(user_id=user_id, email=address, name=name, verified_at=tx.now)
    if await store.insert_user_without_password(tx, user_id, address, name):
        created = UserCreated(user_id=user_id, email=address, name=name, created_at=tx.now, email_verified=True)
        user = await store.user_by_id(tx, user_id)
        assert user is not None
        linked = await _link(tx, user, proven, address, command.client_address, with_account=True)
        return await _enter(tx, user, command, proven, created, verified, linked)
    user = await store.user_by_email(tx, address)
    meanwhile = await store.linked_identity(tx, proven)
    if user is not None and meanwhile is not None and meanwhile.user_id == user.user_id:
        return await _enter(tx, user, command, proven)  # another sign-in with it was quicker
    if user is None or user.status != "active":
        return _refused(tx, command, proven, "disabled", errors.identity_opens_nothing())
    if user.email_verified_at is None:
        user = await store.take_over_unverified(tx, user, name)
        linked = await _link(tx, user, proven, address, command.client_address)
        return await _enter(tx, user, command, proven, verified.model_copy(update={"user_id": user.user_id}), linked)
    record = _record(tx, command, proven, "account_exists", user.user_id)
    return Reply(AccountToProve(email=user.email), record, sealed=True)


@users.performs(SignInAndLink)
async def sign_in_and_link(command: SignInAndLink, work: Work) -> Finish:
    """The password proves the account. Who has a second factor too links from the session that it opens."""

    async def enter(tx: Transaction, user: store.User, found: store.WaysIn) -> Reply:
        proven = _opened(tx, command)
        refusal = await _link_refusal(tx, command, proven, user)
        if refusal is not None:
            return refusal
        if proven.tenant_id is not None:
            _admit(tx, user, proven.tenant_id)
        elif found.must_sign_on:
            return _refused(tx, command, proven, "sign_on_only", errors.identity_opens_nothing(), user.user_id)
        if found.second_factor:
            return await let_in(tx, user, "password", command, signed_on=proven.tenant_id, second_factor=True)
        linked = await _link(tx, user, proven, user.email, command.client_address)
        return await let_in(tx, user, "password", command, linked, signed_on=proven.tenant_id, second_factor=False)

    return await by_password(command, work, enter)


@users.handles(LinkIdentity)
async def link_identity(command: LinkIdentity, tx: Transaction) -> Outcome:
    """Needs a fresh session, with the second factor of whoever has one."""
    user = await _own_account(tx, command.user_id)
    refusal = await step_up_missing(tx, user.user_id, command.by_session_id, LinkIdentity)
    if refusal is not None:
        return refusal
    proven = _opened(tx, command)
    refusal = await _link_refusal(tx, command, proven, user)
    if refusal is not None:
        return refusal
    return await _link(tx, user, proven, user.email, command.client_address)


@users.handles(UnlinkIdentity)
async def unlink_identity(command: UnlinkIdentity, tx: Transaction) -> Outcome:
    """A mailbox alone is no way in that counts: a password, a passkey or another identity must be left."""
    user = await _own_account(tx, command.user_id)
    refusal = await step_up_missing(tx, user.user_id, command.by_session_id, UnlinkIdentity)
    if refusal is not None:
        return refusal
    identity = await store.own_identity(tx, command.identity_id, user.user_id)
    if identity is None:
        raise errors.identity_not_found()
    may = rules.may_unlink(
        has_password=await store.has_password(tx, user.user_id),
        identities_left=await store.count_identities(tx, user.user_id) - 1,
        passkeys=await store.count_passkeys(tx, user.user_id),
    )
    if not may:
        raise errors.last_way_in()
    await store.delete_identity(tx, identity.identity_id)
    return IdentityUnlinked(
        user_id=user.user_id,
        email=user.email,
        name=user.name,
        identity_id=identity.identity_id,
        provider=identity.provider,
        title=identity.title,
        issuer=identity.issuer,
        unlinked_at=tx.now,
        client_address=command.client_address,
    )


@users.handles(StepUpWithIdentity)
async def step_up_with_identity(command: StepUpWithIdentity, tx: Transaction) -> Reply:
    """As a password steps up, and as little: who has a second factor proves that."""
    user, used = await _own_account(tx, command.user_id), command.by_session_id
    before = await store.live_session(tx, used, user.user_id)
    if user.status != "active" or before is None:
        raise errors.session_not_found()
    proven = _opened(tx, command)
    linked = await store.linked_identity(tx, proven)
    denied = StepUpDenied(
        user_id=user.user_id,
        by_session_id=used,
        command=StepUpWithIdentity.TYPE,
        client_address=command.client_address,
    )
    if await store.has_second_factor(tx, user.user_id):
        return Reply(None, denied, error=errors.second_factor_required())
    if linked is None or linked.user_id != user.user_id:
        return Reply(None, denied, error=errors.not_your_identity(proven.title))
    if not await _still_speaks_for(tx, proven, user):
        return Reply(None, denied, error=errors.other_domain(proven.title))
    if not rules.identity_is_fresh(proven.proven_at, tx.now):
        return Reply(None, denied, error=errors.identity_too_old())
    await store.note_identity_use(tx, linked.identity_id, rules.first_address(proven.emails))
    ended = SessionEnded(user_id=user.user_id, session_id=used, reason="signed_out")
    method: SignInMethod = "social" if proven.tenant_id is None else "sign_on"
    signed_on = proven.tenant_id or before.sign_on_tenant_id
    return await open_session(tx, user, method, command, ended, signed_on=signed_on, replacing=used)


async def _link_refusal(
    tx: Transaction, command: SignInAndLink | LinkIdentity, proven: ProvenIdentity, user: store.User
) -> Reply | None:
    """Why an identity cannot be linked to an account whose person has proven it: None when it can.

    The account's address must be verified here and by the provider, so that nobody is talked into linking a stranger's.
    """
    if not rules.identity_is_fresh(proven.proven_at, tx.now):
        return _refused(tx, command, proven, "too_old", errors.identity_too_old(), user.user_id)
    if proven.tenant_id is not None and not await _speaks_for(tx, proven.tenant_id, user.email):
        return _refused(tx, command, proven, "other_domain", errors.other_domain(proven.title), user.user_id)
    if await store.linked_identity(tx, proven) is not None:
        return _refused(tx, command, proven, "other_account", errors.identity_taken(proven.title), user.user_id)
    if user.email_verified_at is None or not rules.is_among(user.email, proven.emails):
        error = errors.address_differs(proven.title, user.email)
        return _refused(tx, command, proven, "other_address", error, user.user_id)
    return None


async def _link(
    tx: Transaction,
    user: store.User,
    proven: ProvenIdentity,
    email: str,
    client_address: str | None,
    *,
    with_account: bool = False,
) -> IdentityLinked:
    """Links an identity that belongs to nobody. Raises Conflict when somebody else's sign-in was quicker."""
    identity_id = new_id("identity")
    if not await store.insert_identity(tx, identity_id, user.user_id, proven, email):
        raise errors.identity_taken(proven.title)
    return IdentityLinked(
        user_id=user.user_id,
        email=user.email,
        name=user.name,
        identity_id=identity_id,
        provider=proven.provider,
        title=proven.title,
        issuer=proven.issuer,
        linked_at=tx.now,
        with_account=with_account,
        client_address=client_address,
    )


async def _own_account(tx: Transaction, user_id: str) -> store.User:
    """The actor's own account, locked. Nobody acts here for somebody else."""
    if tx.actor != user_id:
        raise errors.not_permitted()
    user = await store.user_by_id(tx, user_id)
    if user is None:
        raise errors.user_not_found()
    return user


def _opened(tx: Transaction, command: AnyCommand) -> ProvenIdentity:
    """What the provider told. Raises Invalid when no holder of the keys has sealed it for this."""
    text = open_sealed(tx, command.sealed_identity, secrets.IDENTITY, "sealed_identity")
    try:
        return ProvenIdentity.model_validate_json(text)
    except ValidationError:
        raise errors.unreadable_secret("sealed_identity") from None


def _record(
    tx: Transaction, command: AnyCommand, proven: ProvenIdentity, reason: Refusal, user_id: str | None
) -> IdentityRefused:
    return IdentityRefused(
        identity_digest=tx.sealer.digest(proven.digest, "identity"),
        provider=proven.provider,
        reason=reason,
        user_id=user_id,
        client_address=command.client_address,
    )


def _refused(
    tx: Transaction,
    command: AnyCommand,
    proven: ProvenIdentity,
    reason: Refusal,
    error: Denied,
    user_id: str | None = None,
) -> Reply:
    return Reply(None, _record(tx, command, proven, reason, user_id), error=error)
