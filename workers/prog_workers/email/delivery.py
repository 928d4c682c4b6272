"""Handing a mail over exactly once, whoever is killed in the middle.

Three phases, as for every outside call: (1) `sending` and the number of this try are committed; (2) the provider is
called; (3) the outcome is committed together with the inbox row and the events. A delivery that finds `sending` follows
one that died between (1) and (3): it asks the provider. Only a provider that says "absent, and it cannot arrive any
more" leads to another try. Where nobody can tell, the mail is held and an operator decides (`SettleMail`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from email.utils import parseaddr
from typing import Final

from prog_broker.domain import Finish, Work
from prog_broker.outcome import Outcome
from prog_broker.transaction import Transaction
from prog_contracts.email import DeliverMail, EmailFailed, EmailHeld, EmailSent
from prog_contracts.errors import NotFound, Unavailable
from prog_kit.secrets import MAIL, SealError
from prog_workers.email import branding, rules, store
from prog_workers.email.contexts import context_of
from prog_workers.email.providers.port import Accepted, Deferred, MailProvider, OutgoingMail, Rejected, Unknown
from prog_workers.email.render import Renderer
from prog_workers.email.store import Mail, sites

UNREADABLE: Final = "its secrets do not open with the present keys"

ASK_TIMES: Final = 6
"""How often a provider that may know later is asked before the mail is held."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the deliveries of a process need. `sender` is as in PROG_MAIL_FROM, `Name <address>`."""

    provider: MailProvider
    renderer: Renderer
    sender: str

    async def deliver(self, command: DeliverMail, work: Work) -> Finish:
        """Hands the mail over, and returns what records the outcome.

        Raises Unavailable when the provider did not take it now, or must be asked again.
        """
        if work.replaying:
            return _nothing
        outgoing: OutgoingMail | None = None
        async with work.transaction() as tx:
            mail = await store.lock_mail(tx, command.mail_id)
            if mail is None:
                raise NotFound(f"there is no mail {command.mail_id}")
            step = rules.next_step(mail.status)
            if step == "nothing":
                return _nothing
            if step == "send":
                if await store.is_suppressed(tx, mail.recipient):
                    return _suppressed(mail)
                outgoing = await self._begin(tx, mail)
        if step == "ask":
            if (settled := await self._ask(mail, work)) is not None:
                return settled
            async with work.transaction() as tx:
                outgoing = await self._begin(tx, mail)
        return _failed(mail, UNREADABLE) if outgoing is None else await self._send(mail, outgoing, work)

    async def _ask(self, mail: Mail, work: Work) -> Finish | None:
        """Settles a try whose outcome was never recorded; None when it certainly did not arrive."""
        found = await self.provider.find(self._message_id(mail), mail.mail_id, mail.attempt)
        match found:
            case Accepted(provider_id):
                return _sent(mail, self.provider.name, provider_id)
            case Unknown(reason, later):
                if later and work.attempt < ASK_TIMES:
                    raise Unavailable(reason, code="outcome_unknown")
                return _held(mail, reason)
            case _:
                return None

    async def _begin(self, tx: Transaction, mail: Mail) -> OutgoingMail | None:
        """Writes a new try down and renders the mail for it; None when its secrets do not open any more."""
        try:
            outgoing = self._compose(mail, tx, await store.brand(tx), await self._site_url(tx, mail))
        except SealError:
            return None
        attempt = await store.begin_attempt(tx, mail, self.provider.name)
        if attempt is None:
            raise Unavailable(f"another worker delivers {mail.mail_id}", code="in_progress")
        return replace(outgoing, attempt=attempt)

    async def _site_url(self, tx: Transaction, mail: Mail) -> str | None:
        """The tenant's own host to which the mail's link leads, if it is one that is active now."""
        tenant_id = mail.tenant_id if mail.template in branding.BRANDED else mail.site_tenant_id
        site = None if tenant_id is None else await sites.site(tx, tenant_id)
        if site is None or not branding.leads_to_site(mail.template, mail.recipient, site.address_domains):
            return None
        return self.renderer.url_at(site.mail_domain)

    async def _send(self, mail: Mail, outgoing: OutgoingMail, work: Work) -> Finish:
        result = await self.provider.send(outgoing)
        match result:
            case Accepted(provider_id):
                return _sent(mail, self.provider.name, provider_id)
            case Rejected(reason):
                return _failed(mail, reason)
            case Deferred(reason):
                async with work.transaction() as tx:
                    await store.requeue(tx, mail, outgoing.attempt, reason)
                raise Unavailable(reason, code="mail_deferred")
            case Unknown(reason):
                raise Unavailable(reason, code="outcome_unknown")

    def _compose(
        self, mail: Mail, tx: Transaction, known: branding.TenantBrand | None, site_url: str | None
    ) -> OutgoingMail:
        secrets = {name: tx.sealer.open(value, MAIL) for name, value in mail.sealed_data.items()}
        context = context_of(mail.template, mail.data, mail.sealed_data)
        rendered = self.renderer.render(
            mail.template,
            context,
            tenant_id=mail.tenant_id,
            secrets=secrets,
            brand=branding.brand_of(known, mail.template),
            site_url=site_url,
        )
        name, address = parseaddr(self.sender)
        return OutgoingMail(
            mail_id=mail.mail_id,
            message_id=self._message_id(mail),
            attempt=mail.attempt,
            sender=address,
            sender_name=branding.sender_name(known, mail.template, name),
            reply_to=branding.reply_to(known, mail.template),
            recipient=mail.recipient,
            recipient_name=mail.recipient_name,
            subject_line=rendered.subject_line,
            text=rendered.text,
            html=rendered.html,
            date=tx.now,
        )

    def _message_id(self, mail: Mail) -> str:
        return rules.internet_message_id(mail.mail_id, parseaddr(self.sender)[1])


async def _nothing(tx: Transaction) -> Outcome:
    return None


def _sent(mail: Mail, provider: str, provider_id: str | None) -> Finish:
    async def record(tx: Transaction) -> Outcome:
        return await record_sent(tx, mail, provider, provider_id)

    return record


async def record_sent(tx: Transaction, mail: Mail, provider: str, provider_id: str | None) -> EmailSent | None:
    """Writes down that the provider has the mail; None when that was known."""
    if not await store.settle(tx, mail, "sent", provider_id=provider_id):
        return None
    return EmailSent(
        mail_id=mail.mail_id,
        template=mail.template,
        to=mail.recipient,
        subject_line=mail.subject_line,
        occurred_at=tx.now,
        provider=provider,
        provider_id=provider_id,
    )


def _failed(mail: Mail, reason: str) -> Finish:
    async def record(tx: Transaction) -> Outcome:
        if rules.is_bad_address(reason):
            await store.suppress(tx, mail.recipient, "bounced")
        settled = await store.settle(tx, mail, "failed", reason=reason)
        return failure(tx, mail, reason) if settled else None

    return record


def _suppressed(mail: Mail) -> Finish:
    async def record(tx: Transaction) -> Outcome:
        settled = await store.settle(tx, mail, "suppressed", reason="suppressed")
        return failure(tx, mail, "suppressed") if settled else None

    return record


def failure(tx: Transaction, mail: Mail, reason: str) -> EmailFailed:
    """The event of a mail that will never be sent."""
    return EmailFailed(
        mail_id=mail.mail_id,
        template=mail.template,
        to=mail.recipient,
        subject_line=mail.subject_line,
        occurred_at=tx.now,
        reason=reason,
        permanent=True,
    )


def _held(mail: Mail, reason: str) -> Finish:
    async def record(tx: Transaction) -> Outcome:
        if not await store.settle(tx, mail, "held", reason=reason):
            return None
        return EmailHeld(
            mail_id=mail.mail_id,
            template=mail.template,
            to=mail.recipient,
            subject_line=mail.subject_line,
            occurred_at=tx.now,
            reason=reason,
        )

    return record
