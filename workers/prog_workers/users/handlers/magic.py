"""Sign in by a link in a mail.

The mailbox stands for the password here, and for nothing more: what an account asks for beyond its password, it asks
for after this too, because `sessions.let_in` is the way in for every first factor.
"""

from __future__ import annotations

from prog_broker.outcome import Reply
from prog_broker.transaction import Transaction
from prog_contracts.users import ConsumeMagicLink, RequestMagicLink
from prog_kit import secrets
from prog_workers.users import links, store
from prog_workers.users.handlers.domain import open_sealed, users
from prog_workers.users.handlers.sessions import let_in


@users.handles(RequestMagicLink)
async def request_magic_link(command: RequestMagicLink, tx: Transaction) -> Reply:
    """Answers alike for everybody. The edge does not even wait for this, so no time tells who has an account."""
    return await links.ask(tx, links.MAGIC, command.email, command.client_address, command.site_tenant_id)


@users.handles(ConsumeMagicLink)
async def consume_magic_link(command: ConsumeMagicLink, tx: Transaction) -> Reply:
    """Lets in whoever comes with a good link, and takes the account's other such links back."""
    token = open_sealed(tx, command.sealed_token, secrets.TOKEN, "token")
    holder = await links.holder(tx, links.MAGIC, token)
    user = None if holder is None else await store.user_by_id(tx, holder.user_id)
    if user is None or user.email_verified_at is None or await store.must_sign_on(tx, user):
        return links.refusal(tx, links.MAGIC, token, command.client_address)
    if not await links.spend(tx, links.MAGIC, token, user):
        return links.refusal(tx, links.MAGIC, token, command.client_address)
    await links.take_back(tx, user.user_id, links.MAGIC)
    return await let_in(tx, user, "magic_link", command)
