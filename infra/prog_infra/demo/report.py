"""Runs the steps and shows them: a line a step and the timeline on a terminal, or one JSON object."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from prog_infra.demo.client import StoryError
from prog_infra.demo.story import Story
from prog_infra.demo.timeline import Account


@dataclass(frozen=True, slots=True)
class StepResult:
    name: str
    seconds: float
    ok: bool


@dataclass(slots=True)
class Result:
    """How the story went. `error` says where it stopped."""

    steps: list[StepResult] = field(default_factory=list)
    account: Account = field(default_factory=Account)
    tenant_id: str = ""
    error: str | None = None
    sign_ins: tuple[tuple[str, str], ...] = ()
    """Address and password of the tenant's owner and of the operator, for whoever wants to look at it."""

    @property
    def ok(self) -> bool:
        return self.error is None

    def json(self) -> str:
        document: dict[str, Any] = {
            "ok": self.ok,
            "steps": [asdict(step) for step in self.steps],
            "messages": self.account.messages,
            "dead_letters": self.account.dead_letters,
            "mails": self.account.mails,
            "tenant_id": self.tenant_id,
            "seconds": round(sum(step.seconds for step in self.steps), 3),
        }
        if self.error is not None:
            document["error"] = self.error
        return json.dumps(document)


def tell(story: Story, console: Console) -> Result:
    """Runs the steps until one fails, with progress on `console`."""
    result = Result()
    for step in story.steps():
        began = time.monotonic()
        said = ""
        try:
            with console.status(step.title):
                said = step.run()
        except StoryError as error:
            result.error = f"{step.title}: {error}"
        seconds = time.monotonic() - began
        result.steps.append(StepResult(step.name, round(seconds, 3), result.ok))
        mark, style = ("✓", "green") if result.ok else ("✗", "red")
        line = Text.assemble("  ", (mark, style), f" {step.title:<46}", (f"{seconds:5.2f} s  ", "dim"))
        console.print(line.append(said, "cyan"), soft_wrap=True)
        if not result.ok:
            break
    result.tenant_id = story.tenant_id
    result.sign_ins = ((story.owner.email, story.owner.password), (story.operator.email, story.operator.password))
    result.account = story.account or result.account
    return result


def show(result: Result, url: str, console: Console) -> None:
    """The timeline, and where to look next."""
    table = Table(box=None, padding=(0, 2), collapse_padding=True, header_style="dim")
    table.add_column("when (UTC)", style="dim", no_wrap=True)
    table.add_column("what", overflow="fold")
    table.add_column("why", style="dim", overflow="fold")
    table.add_column("by whom", style="cyan", no_wrap=True)
    day = ""
    for moment in result.account.moments:
        date = f"{moment.at:%Y-%m-%d}"
        mark = "*" if moment.on_tenants_clock else ""
        when = f"{date if date != day else '':<10} {moment.at:%H:%M:%S}{mark}"
        table.add_row(when, Text(moment.what), Text(moment.why), Text(moment.who))
        day = date
    console.print("\n[bold]What happened[/]\n")
    console.print(table)
    console.print("\n  [dim]* on the tenant's clock, which the story moves; all else on the machine's[/]")
    account = result.account
    seconds = sum(step.seconds for step in result.steps)
    console.print(
        f"\n  [bold green]ok[/]  {account.messages} messages, {account.mails} mails, each once,"
        f" {account.dead_letters} dead letters, {seconds:.1f} s"
    )
    console.print(f"\n  [dim]Mails  [/]  {url}/dev/mailbox")
    places = (("Account", f"/account/tenants/{result.tenant_id}"), ("Story  ", f"/admin/story/{result.tenant_id}"))
    for (name, path), (email, password) in zip(places, result.sign_ins, strict=True):
        console.print(f"  [dim]{name}[/]  {url}{path}\n           as {email}, password {password}", markup=True)
    console.print()
