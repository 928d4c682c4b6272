"""Wiring of the users domain: what `prog worker users` runs."""

from prog_broker.worker import Resources
from prog_workers.users import passwords
from prog_workers.users.handlers import users as domain
from prog_workers.users.handlers.sessions import access_tokens

__all__ = ["domain"]


@domain.on_start
async def prepare(resources: Resources) -> None:
    """Makes or re-seals the signing keys, so that they are published before the first token is signed."""
    access_tokens.issuer = resources.settings.public_url
    async with resources.database.scope() as connection:
        await access_tokens.prepare(connection, resources.sealer)
    await passwords.warm_up()
