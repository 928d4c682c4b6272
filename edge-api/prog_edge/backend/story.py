"""A causal story as the console shows it: messages with their handlings, and the mails that they made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from prog_edge.api.stories import readable
from prog_edge.web.ports import Story, StoryNode
from prog_kit.database import Connection
from prog_workers.email.queries import MailRow, mails_of_stories
from prog_workers.events import queries

_FAILED = ("failed", "dead", "dropped")
_UNSETTLED = ("retrying", "waiting", "pending")


async def story_of(connection: Connection, object_id: str) -> Story | None:
    """The trees that touch an object; None when nothing is known of it."""
    found = await queries.story(connection, object_id)
    if found is None:
        return None
    nodes = list(found.walk())
    mails: dict[UUID, list[MailRow]] = defaultdict(list)
    for mail in await mails_of_stories(connection, list({node.correlation_id for node in nodes})):
        mails[mail.message_id].append(mail)
    built: dict[UUID, StoryNode] = {}
    for node in reversed(nodes):
        children = [built[child.message_id] for child in node.children]
        built[node.message_id] = _message(node, children, mails.get(node.message_id, ()))
    roots = [built[root.message_id] for root in found.roots]
    return Story(id=found.id, title=_title(object_id), roots=roots, truncated=found.truncated)


def _message(node: queries.StoryNode, children: Sequence[StoryNode], mails: Sequence[MailRow]) -> StoryNode:
    failed = next((item for item in node.handled if item.status in _FAILED), None)
    micros = [item.microseconds for item in node.handled if item.microseconds is not None]
    error = None if failed is None or failed.error is None else str(failed.error.get("message", ""))
    return StoryNode(
        id=str(node.message_id),
        kind=node.kind,
        type=node.type,
        title=_words(node.type),
        status=_status(node),
        at=node.recorded_at,
        milliseconds=max(micros) / 1000 if micros else None,
        actor=node.actor or "somebody not signed in",
        tenant_id=node.tenant_id,
        subject=node.subject,
        body=_body(node),
        error=error,
        children=[*children, *(_mail(mail) for mail in mails)],
    )


def _status(node: queries.StoryNode) -> str:
    """How the message stands, over all who handle it: the worst of it."""
    statuses = {item.status for item in node.handled}
    for status in (*_FAILED, *_UNSETTLED):
        if status in statuses:
            return "refused" if status == "failed" else status
    return "succeeded" if statuses else "recorded"


def _mail(mail: MailRow) -> StoryNode:
    return StoryNode(
        id=mail.mail_id,
        kind="mail",
        type=mail.template,
        title=f"{mail.subject_line} → {mail.recipient}",
        status=mail.status,
        at=mail.recorded_at,
        milliseconds=None,
        actor="email",
        tenant_id=mail.tenant_id,
        subject=mail.mail_id,
        body={"to": mail.recipient, "subject": mail.subject_line, "provider": mail.provider, "reason": mail.reason},
        error=mail.reason if mail.status == "failed" else None,
    )


def _body(node: queries.StoryNode) -> Mapping[str, object]:
    body: dict[str, object] = {} if node.body is None else readable(node.body)
    return body


def _words(type_name: str) -> str:
    """`user created` of `prognetwork.users.user_created`."""
    return type_name.rpartition(".")[2].replace("_", " ").capitalize()


def _title(object_id: str) -> str:
    kind = object_id.partition("_")[0] if "_" in object_id else "message"
    return f"Story of {kind} {object_id}" if kind == "message" else f"Story of {object_id}"
