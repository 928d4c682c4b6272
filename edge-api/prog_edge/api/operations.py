"""Operations: what became of a write that was answered with 202."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.requests import Request

from prog_contracts.errors import Denied, FieldError, NotFound
from prog_contracts.ids import PLATFORM_TENANT_ID, decode_id, encode_id
from prog_contracts.permissions import allowed, concerns_billing
from prog_contracts.tenants import TenantRole
from prog_edge.access import Public, Visit
from prog_edge.api.shapes import Resource, problems
from prog_edge.callers import Caller
from prog_edge.platform import Platform
from prog_edge.signed_on import require_signed_on
from prog_workers.events.queries import Operation, operation

router = APIRouter(prefix="/v1/operations", tags=["Operations"])


class OperationError(Resource):
    """Why an operation failed; `code` and `errors` as in a problem document."""

    code: str
    detail: str
    errors: list[FieldError]


class OperationResource(Resource):
    """A write on its way. `result` is what the write would have answered from the domain; credentials are left out."""

    id: str = Field(examples=["operation_01jd7z4c8nf3ktv9q2m6x0r5we"])
    status: Literal["pending", "succeeded", "failed"]
    result: dict[str, Any] | None = None
    error: OperationError | None = None


@router.get("/{operation_id}", responses=problems(401, 404))
async def get_operation(
    operation_id: str, request: Request, visit: Annotated[Visit, Depends(Public())]
) -> OperationResource:
    """How a write stands. Who asked for it may look, members of its tenant, and the platform's staff.

    An API key may look at what was asked with it.

    What somebody asked for who was not signed in is shown to whoever holds its id, which nobody can guess.
    """
    platform = visit.platform
    try:
        message_id = decode_id(operation_id, "operation")
    except ValueError:
        raise NotFound("There is no such operation.") from None
    caller = await platform.callers.find(request, visit.context)
    found = await _find(platform, caller, message_id)
    if found is None:
        raise NotFound("There is no such operation.")
    return _resource(found)


async def _find(platform: Platform, caller: Caller | None, message_id: UUID) -> Operation | None:
    """Looks where the caller may look. What Redis remembers is only the shorter way: PostgreSQL knows who asked."""
    actor = caller.actor if caller else None
    asked = await platform.operations.find(message_id)
    if asked is not None and asked.actor == actor:
        found = await _in_tenant(platform, asked.tenant_id, message_id)
        return found or Operation(message_id, "pending", tenant_id=asked.tenant_id)
    found = await _in_tenant(platform, PLATFORM_TENANT_ID, message_id)
    if found is not None and found.causation_id is None and found.actor in (None, actor):
        return found
    if caller is None:
        return None
    if caller.platform_role is not None:
        return await _anywhere(platform, message_id)
    if caller.key is not None:
        found = await _in_tenant(platform, caller.key.tenant_id, message_id)
        return found if found is not None and found.actor == actor and found.causation_id is None else None
    for tenant_id, role in (await platform.tenants_of(caller.user_id)).items():
        if not await _reaches(platform, caller, tenant_id, role):
            continue
        found = await _in_tenant(platform, tenant_id, message_id)
        if found is not None:
            hidden = not allowed(role, "billing.read") and concerns_billing(found.type or "", None)
            return None if hidden and found.actor != actor else found
    found = await _anywhere(platform, message_id)
    return found if found is not None and found.actor == actor and found.causation_id is None else None


async def _reaches(platform: Platform, caller: Caller, tenant_id: str, role: TenantRole) -> bool:
    """Whether the caller's session may look into a tenant of theirs, which may want its own sign-on."""
    try:
        if caller.session_id is not None:
            await require_signed_on(platform, caller.user_id, caller.session_id, tenant_id, role)
    except Denied:
        return False
    return True


async def _anywhere(platform: Platform, message_id: UUID) -> Operation | None:
    async with platform.database.operator() as connection:
        return await operation(connection, message_id)


async def _in_tenant(platform: Platform, tenant_id: str, message_id: UUID) -> Operation | None:
    async with platform.database.scope(tenant_id=tenant_id) as connection:
        return await operation(connection, message_id)


def _resource(found: Operation) -> OperationResource:
    error = found.error
    return OperationResource(
        id=encode_id("operation", found.message_id),
        status=found.status,
        result=dict(found.result) if found.result is not None else None,
        error=None
        if error is None
        else OperationError(
            code=error["code"],
            detail=error["message"],
            errors=[FieldError.model_validate(item) for item in error.get("fields", ())],
        ),
    )
