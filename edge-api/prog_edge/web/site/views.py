"""The site's page contexts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from prog_edge.web.ports import Plan
from prog_edge.web.ui.forms import FormState

HANDLER_SAMPLE: Final = """\
projects = Domain("projects")

@projects.handles(OpenProject)
async def open_project(
    command: OpenProject, tx: Transaction
) -> ProjectOpened:
    if await store.name_is_taken(tx, command.name):
        raise Conflict.field("name", "taken", "This name is in use.")
    await store.add_project(tx, command.project_id, command.name)
    return ProjectOpened(
        project_id=command.project_id,
        name=command.name,
        opened_at=tx.now,  # the tenant's clock, which a test can move
    )
"""


@dataclass(frozen=True, slots=True)
class PlanCard:
    """A plan with its other prices, such as the yearly one."""

    plan: Plan
    others: Sequence[Plan]


def plan_cards(plans: Sequence[Plan]) -> list[PlanCard]:
    """One card for each plan's name, in the order of the plans; its first price leads."""
    named: dict[str, list[Plan]] = {}
    for plan in plans:
        named.setdefault(plan.name, []).append(plan)
    return [PlanCard(plan=prices[0], others=prices[1:]) for prices in named.values()]


@dataclass(frozen=True, slots=True)
class HomePage:
    template: ClassVar[str] = "site/home.html"
    plans: Sequence[PlanCard]
    lead: FormState
    sample: str = HANDLER_SAMPLE


@dataclass(frozen=True, slots=True)
class LeadThanks:
    """Shown in place of the form, and as a page of its own without JavaScript."""

    template: ClassVar[str] = "site/lead_thanks.html"


@dataclass(frozen=True, slots=True)
class PricingPage:
    template: ClassVar[str] = "site/pricing.html"
    plans: Sequence[PlanCard]


@dataclass(frozen=True, slots=True)
class LegalPage:
    template: ClassVar[str] = "site/legal.html"
    topic: str
    """`imprint`, `privacy` or `terms`."""


LEGAL_TOPICS: Final = ("imprint", "privacy", "terms")
PUBLIC_PATHS: Final = ("/", "/pricing", *(f"/legal/{topic}" for topic in LEGAL_TOPICS))
"""What the sitemap lists."""
