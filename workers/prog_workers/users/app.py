"""Wiring of the users domain: what `prog worker users` runs."""

import asyncio
from functools import partial

from prog_broker import relay
from prog_broker.worker import Resources
from prog_kit.clock import SystemClock
from prog_kit.outbound import MOST_OF_A_STRANGER, Outbound
from prog_kit.passkeys import RelyingParty
from prog_workers.users import passwords, store
from prog_workers.users.handlers import users as domain
from prog_workers.users.handlers.authorizing import id_tokens
from prog_workers.users.handlers.passkeys import parties
from prog_workers.users.handlers.sessions import access_tokens
from prog_workers.users.logout_courier import ANSWER_SECONDS, WHOSE, LogoutCourier
from prog_workers.users.strength import BreachedPasswords

__all__ = ["domain"]


@domain.on_start
async def prepare(resources: Resources) -> None:
    """Makes or re-seals the signing keys, so that they are published before the first token is signed; and begins to
    tell clients of sign-outs."""
    settings = resources.settings
    access_tokens.issuer = settings.public_url
    id_tokens.issuer = settings.public_url.rstrip("/")
    parties[:] = [RelyingParty.of(settings)]
    if settings.breached_passwords_url is not None:
        passwords.breached = BreachedPasswords(settings.breached_passwords_url, settings.breached_passwords_outage)
    async with resources.database.scope() as connection:
        await access_tokens.prepare(connection, resources.sealer)
        await id_tokens.prepare(connection, resources.sealer)
        stored = await store.hashes_of_each_strength(connection)
    passwords.strength = settings.password_hashing
    await passwords.warm_up(stored)
    trying = settings.env != "production"
    courier = LogoutCourier(
        resources.database,
        resources.sealer,
        id_tokens,
        Outbound(
            private=trying,
            plain=trying,
            most_of_a_host=MOST_OF_A_STRANGER,
            whose=WHOSE,
            answer_seconds=ANSWER_SECONDS,
        ),
        SystemClock(),
        partial(relay.wake, resources.redis),
    )
    resources.tasks.append(asyncio.create_task(courier.run()))
