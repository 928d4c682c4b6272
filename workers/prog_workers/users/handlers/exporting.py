"""A person takes their data along. Whoever has an old session of theirs does not."""

from __future__ import annotations

from prog_broker.outcome import Outcome
from prog_broker.transaction import Transaction
from prog_contracts.email import SendMail
from prog_contracts.exports import ExportUser, UserExported
from prog_contracts.ids import new_id
from prog_workers.users import errors, rules, store
from prog_workers.users.handlers.domain import step_up_missing, users


@users.handles(ExportUser)
async def export_user(command: ExportUser, tx: Transaction) -> Outcome:
    """Allows it once in a while, and tells the holder of the mailbox."""
    if tx.actor != command.user_id:
        raise errors.not_permitted()
    user = await store.user_by_id(tx, command.user_id)
    if user is None:
        raise errors.user_not_found()
    refusal = await step_up_missing(tx, user.user_id, command.by_session_id, ExportUser)
    if refusal is not None:
        return refusal
    if not await store.note_export(tx, user.user_id, apart=rules.EXPORT_INTERVAL):
        raise errors.exported_just_now()
    data = {"exported_at": tx.now}
    tx.send(SendMail(mail_id=new_id("mail"), template="data_exported", to=user.email, to_name=user.name, data=data))
    return UserExported(
        user_id=user.user_id,
        by_session_id=command.by_session_id,
        exported_at=tx.now,
        client_address=command.client_address,
    )
