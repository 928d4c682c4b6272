"""Owners are told once when a limit is nearly, and when it is wholly, used up."""

from __future__ import annotations

from prog_contracts.email import SendMail
from prog_contracts.ids import new_id
from prog_contracts.tenants import NoteUsage, UsageWarned
from tests.component.harness import Harness
from tests.component.tenants.company import Company, code


async def note(company: Company, used: int, *, limit: int = 100, period: str = "2027-01-01") -> None:
    command = NoteUsage(tenant_id=company.tenant_id, quota="events_per_month", used=used, limit=limit, period=period)
    answer = await company.platform.request(command, tenant_id=company.tenant_id, actor="prog-edge")
    assert answer.status == "succeeded", answer


async def warnings(platform: Harness) -> list[tuple[str, int]]:
    mails = await platform.events(SendMail)
    return [(mail.to, mail.data["percent"]) for mail in mails if mail.template == "usage_warning"]


async def test_owners_are_told_at_each_mark_once(platform: Harness, acme: Company) -> None:
    await acme.take_in("second@example.com", "owner")
    before = await warnings(platform)
    for used in (10, 79, 80, 81, 99, 100, 100, 500):
        await note(acme, used)
    both = [acme.owner_email, "second@example.com"]
    told = (await warnings(platform))[len(before) :]
    assert told == [(to, percent) for percent in (80, 100) for to in both]
    assert [(event.percent, event.used) for event in await platform.events(UsageWarned)][-2:] == [(80, 80), (100, 100)]


async def test_a_new_month_and_a_new_limit_are_told_anew(platform: Harness, acme: Company) -> None:
    await note(acme, 90)
    await note(acme, 90, period="2027-02-01")
    await note(acme, 900, limit=1000, period="2027-02-01")
    assert await warnings(platform) == [(acme.owner_email, 80)] * 3


async def test_a_count_that_jumps_over_a_mark_is_told_once(platform: Harness, acme: Company) -> None:
    await note(acme, 100)
    assert await warnings(platform) == [(acme.owner_email, 100)]


async def test_seats_are_told_as_they_fill(platform: Harness, acme: Company) -> None:
    for number in range(3):
        assert (await acme.invite(f"p{number}@example.com")).status == "succeeded"
    assert await warnings(platform) == [(acme.owner_email, 80)]
    assert (await acme.invite("p3@example.com")).status == "succeeded"
    assert [percent for _, percent in await warnings(platform)] == [80, 100]
    refused = await acme.invite("p4@example.com")
    assert code(refused) == "member_limit"
    assert refused.error is not None
    assert "allows 5 members" in refused.error.message
    assert "larger plan" in refused.error.message
    assert len(await warnings(platform)) == 2, "a refusal is no use"


async def test_each_tenants_owners_are_told_of_their_own(platform: Harness, acme: Company) -> None:
    other = Company(platform, name="Other Ltd", owner_email="other@example.com")
    await other.open()
    await note(other, 100)
    assert await warnings(platform) == [("other@example.com", 100)]
    stray = NoteUsage(tenant_id=acme.tenant_id, quota="members", used=9, limit=9)
    answer = await platform.request(stray, tenant_id=other.tenant_id, actor="prog-edge")
    assert code(answer) == "wrong_tenant"
    unknown = new_id("tenant")
    nobody = NoteUsage(tenant_id=unknown, quota="members", used=9, limit=9)
    assert (await platform.request(nobody, tenant_id=unknown, actor="prog-edge")).result is None
