"""A SCIM client that this project did not write, with the compliance checks of its authors, against the whole platform:
edge, workers, relay and servers are the real ones, and nothing of the client is changed for us."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx2
import pytest
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import CheckResult, Status, check_server

from tests.integration.edge.stage import Stage
from tests.integration.edge.test_roles import change

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

NO_LIMIT = "UPDATE tenants.limits SET value = NULL WHERE tenant_id = $1 AND name = 'members'"
FINE = {Status.SUCCESS, Status.COMPLIANT, Status.ACCEPTABLE}
NOT_OFFERED = "searching several resource types at once"


async def test_the_compliance_checker_finds_no_failure(stage: Stage) -> None:
    owner = await stage.person("owner@scim-client.example")
    tenant_id = await stage.tenant_of(owner, "SCIM client")
    await change(stage, NO_LIMIT, tenant_id)
    key = (await owner.post("/v1/api-keys", {"name": "Directory", "scopes": ["scim.manage"]}))["key"]

    results = await asyncio.to_thread(checked, f"{stage.settings.public_url}/scim/v2", key)
    wrong = [item for item in results if item.status not in FINE and NOT_OFFERED not in (item.reason or "")]
    assert not wrong, "\n".join(f"{item.status}: {item.title} {item.resource_type} {item.reason}" for item in wrong)
    done = Counter(item.title for item in results if item.status in FINE)
    assert {"object_creation", "object_replacement", "check_add_attribute", "check_remove_attribute"} <= set(done)
    assert done.total() > 100


def checked(base_url: str, key: str) -> list[CheckResult]:
    headers = {"Authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=base_url, headers=headers, timeout=30, trust_env=False) as http:
        return check_server(SyncSCIMClient(http))
