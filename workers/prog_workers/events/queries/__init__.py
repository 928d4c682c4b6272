"""The read side of the log. The edge calls these with a connection of its own role.

What a caller sees follows from the connection: in `Database.scope(tenant_id=…)` the rows of one tenant, in
`Database.scope(user_id=…)` a person's own activity, and in `Database.operator()` the rows of all. No query here takes
that decision.

- `log`           events, newest first, and one event by id
- `tail`          events as they are published, for live views
- `messages`      commands that were handled, and the state of one operation
- `story`         the causal tree of any object, message or correlation
- `schemas`       JSON Schemas of tenants' own event types
- `audit`         the audit trail
- `activity`      a person's own part of it
- `dead_letters`  what was given up, one by one and grouped by cause
"""

from prog_kit.pages import Page
from prog_workers.events.queries.activity import activity
from prog_workers.events.queries.audit import (
    AuditOutcome,
    AuditRow,
    audit_entries,
)
from prog_workers.events.queries.dead_letters import (
    DeadLetter,
    DeadLetterGroup,
    dead_letter,
    dead_letter_groups,
    dead_letters,
)
from prog_workers.events.queries.log import WILDCARD, EventRow, event, event_from, events
from prog_workers.events.queries.messages import MessageRow, Operation, messages, operation
from prog_workers.events.queries.schemas import SchemaRow, schema, schemas
from prog_workers.events.queries.searching import as_message_id, types_with
from prog_workers.events.queries.story import story
from prog_workers.events.queries.tail import Cursor, Tail, cursor_of, tail_end, tail_since
from prog_workers.events.rules import Handling, Story, StoryNode

__all__ = [
    "WILDCARD",
    "AuditOutcome",
    "AuditRow",
    "Cursor",
    "DeadLetter",
    "DeadLetterGroup",
    "EventRow",
    "Handling",
    "MessageRow",
    "Operation",
    "Page",
    "SchemaRow",
    "Story",
    "StoryNode",
    "Tail",
    "activity",
    "as_message_id",
    "audit_entries",
    "cursor_of",
    "dead_letter",
    "dead_letter_groups",
    "dead_letters",
    "event",
    "event_from",
    "events",
    "messages",
    "operation",
    "schema",
    "schemas",
    "story",
    "tail_end",
    "tail_since",
    "types_with",
]
