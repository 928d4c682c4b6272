"""Signing up, in and out over HTTP, on the whole platform."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.edge.stage import PASSPHRASE, Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_person_registers_verifies_and_signs_in(stage: Stage) -> None:
    ada = await stage.person("ada@example.com")
    me = await ada.get("/v1/me")
    assert me["email"] == "ada@example.com"
    assert me["email_verified"] is True
    assert me["tenants"] == []
