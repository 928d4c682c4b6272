"""The end of an account: its person's, or for the platform's operators anybody's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from prog_contracts.erasure import DeleteUser, RestoreUser
from prog_contracts.errors import NotFound
from prog_contracts.ids import is_id
from prog_contracts.messages import Command
from prog_edge.access import Access, SignedIn, Staff
from prog_edge.api.auth import personal
from prog_edge.api.people import User, user_of
from prog_edge.api.shapes import problems
from prog_edge.ending import require_not_needed
from prog_edge.stepping_up import require_fresh_sign_in
from prog_edge.writes import perform
from prog_workers.users import queries

router = APIRouter(prefix="/v1", tags=["People"])

Me = Annotated[Access, Depends(SignedIn())]
Operator = Annotated[Access, Depends(Staff("platform.manage"))]
UserId = Annotated[str, Path(max_length=100)]
Reason = Annotated[str, Query(min_length=1, max_length=500, description="Recorded with who did it.")]


@router.delete("/me", response_model=User, responses=problems(401, 403, 409))
async def delete_me(request: Request, access: Me) -> Response:
    """Delete the caller's account, in 14 days. Needs a sign-in of the last ten minutes; every other session ends.

    Until `erase_at` all goes on, and the account can be restored. Then it is gone with all that refers to it, and a day
    later nothing names the person any more, but for what the law has the platform keep, such as issued invoices.
    Refused while a tenant has no other owner (`last_owner`). Mails tell of each step.
    """
    caller = access.caller
    await require_fresh_sign_in(access.platform, caller.user_id, caller.session_id)
    await require_not_needed(access.platform, caller.user_id)
    command = DeleteUser(user_id=caller.user_id, by_session_id=caller.session_id)
    return await _changed(request, access, caller.user_id, command)


@router.post("/me/restore", response_model=User, responses=problems(401, 409))
async def restore_me(request: Request, access: Me) -> Response:
    """Keep the caller's account, which was to be deleted."""
    user_id = access.caller.user_id
    return await _changed(request, access, user_id, RestoreUser(user_id=user_id))


@router.delete("/users/{user_id}", response_model=User, responses=problems(401, 403, 404, 409, 422))
async def delete_user(user_id: UserId, reason: Reason, request: Request, access: Operator) -> Response:
    """Delete somebody else's account, as they could themselves, and with the same grace period.

    Needs a sign-in of the last ten minutes. A mail tells the person, who may keep the account.
    """
    _check(user_id)
    caller = access.caller
    await require_fresh_sign_in(access.platform, caller.user_id, caller.session_id)
    await require_not_needed(access.platform, user_id)
    command = DeleteUser(user_id=user_id, by_session_id=caller.session_id, reason=reason)
    return await _changed(request, access, user_id, command)


@router.post("/users/{user_id}/restore", response_model=User, responses=problems(401, 403, 404, 409))
async def restore_user(user_id: UserId, request: Request, access: Operator) -> Response:
    """Keep somebody's account, which was to be deleted."""
    _check(user_id)
    return await _changed(request, access, user_id, RestoreUser(user_id=user_id))


async def _changed(request: Request, access: Access, user_id: str, command: Command) -> Response:
    """Sends the command and answers with the account as it is then."""
    async with access.platform.database.operator() as connection:
        row = await queries.user(connection, user_id)
    if row is None:
        raise NotFound("There is no such user.", code="user_not_found")

    def present(result: Mapping[str, Any]) -> User:
        erase_at = result.get("erase_at")
        return user_of(row, access.context.public_url).model_copy(
            update={"erase_at": None if erase_at is None else datetime.fromisoformat(erase_at)}
        )

    response = await perform(request, access, personal(command, present))
    access.platform.people.forget(user_id)
    return response


def _check(user_id: str) -> None:
    if not (is_id(user_id) and user_id.startswith("user_")):
        raise NotFound("There is no such user.", code="user_not_found")
