"""Leads: visitors of the site who leave an address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from starlette.responses import Response

from prog_contracts.email import CaptureLead
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.inputs import NAME_MAX_LENGTH
from prog_edge.access import Public, Visit
from prog_edge.api.shapes import Body, EmailAddress, Resource, problems
from prog_edge.writes import Write, perform

router = APIRouter(prefix="/v1/leads", tags=["Site"])


class NewLead(Body):
    email: EmailAddress
    name: str | None = Field(None, max_length=NAME_MAX_LENGTH)
    note: str | None = Field(None, max_length=2000, description="What the visitor wants to say.")


class Lead(Resource):
    id: str = Field(examples=["lead_01jd7z4c8nf3ktv9q2m6x0r5we"])
    email: str
    name: str | None


@router.post("", status_code=201, response_model=Lead, responses=problems(409, 422, 503))
async def capture_lead(body: NewLead, request: Request, visit: Annotated[Visit, Depends(Public())]) -> Response:
    """Leave an address on the site."""
    command = CaptureLead(lead_id=new_id("lead"), email=body.email, name=body.name, message=body.note)

    def captured(result: Mapping[str, Any]) -> Lead:
        return Lead(
            id=result.get("lead_id", command.lead_id),
            email=result.get("email", command.email),
            name=result.get("name", command.name),
        )

    return await perform(request, visit, Write(command, PLATFORM_TENANT_ID, captured, status=201))
