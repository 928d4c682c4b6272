"""Wiring of the email domain: what `prog worker email` runs."""

from prog_broker.worker import Resources
from prog_workers.email import providers
from prog_workers.email.delivery import Delivery
from prog_workers.email.handlers import email as domain
from prog_workers.email.handlers import open_office
from prog_workers.email.render import Renderer

__all__ = ["domain"]


@domain.on_start
async def start(resources: Resources) -> None:
    settings = resources.settings
    open_office(
        Delivery(
            provider=providers.choose(settings, resources.database),
            renderer=Renderer(settings.public_url),
            sender=settings.mail_from,
        )
    )
