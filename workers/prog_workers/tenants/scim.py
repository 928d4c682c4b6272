"""SCIM's bodies read into what a directory keeps: values in, values out, and `Invalid` with SCIM's own error types.

scim2-models knows the grammar of paths and filters and the rules of attributes. Of groups it reads the operations, and
the sets of members are changed here, for it would copy each member of a large group with each request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel, ValidationError
from scim2_models import Context, PatchOp, PatchOperation, SCIMException, default_comparison_key
from scim2_models.path import (
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    LogicalExpr,
    LogicalOperator,
    Not,
    Present,
    ValuePath,
)

from prog_contracts.errors import Invalid
from prog_contracts.inputs import normalize_email
from prog_contracts.scim import (
    GROUP_MEMBERS_MAX,
    OPERATIONS_MAX,
    POLICY,
    TEXT_MAX_LENGTH,
    EnterpriseUser,
    FullUser,
    Group,
    User,
)

T = TypeVar("T")

_KEPT_APART: Final = {"id", "meta", "groups", "members"}
_SCHEMAS: Final = (str(User.__schema__), str(EnterpriseUser.__schema__))
_EXACT: Final = frozenset({"externalId"})
"""Compared letter by letter."""
_INEXACT: Final = SimpleNamespace(case_exact=False)
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class UserState:
    """What is kept of a user. Without `active` nothing says that they are to get in, so they do not."""

    name_key: str
    email: str | None
    active: bool
    resource: Mapping[str, Any]
    sought: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GroupState:
    display_name: str
    external_id: str | None
    members: frozenset[str]

    @property
    def name_key(self) -> str:
        return compared(self.display_name)

    @property
    def resource(self) -> dict[str, Any]:
        kept = {"displayName": self.display_name, "externalId": self.external_id}
        return {name: value for name, value in kept.items() if value is not None}

    @property
    def sought(self) -> dict[str, Any]:
        return cast("dict[str, Any]", _sought(self.resource))


def compared(text: str) -> str:
    """A text as it is compared: normalized to NFC, in lower case."""
    return default_comparison_key(_INEXACT, text)


# -- users -------------------------------------------------------------------------------------------------------------


def new_user(body: Mapping[str, Any]) -> UserState:
    """A user to be made. Who is not said to be inactive is active. Raises Invalid."""
    user = _reading(lambda: FullUser.model_validate(body, scim_ctx=Context.RESOURCE_CREATION_REQUEST))
    if user.active is None:
        user.active = True
    return _user_state(user)


def replaced_user(resource: Mapping[str, Any], body: Mapping[str, Any]) -> UserState:
    """The user after a PUT. One that does not say whether somebody is active leaves that as it is. Raises Invalid."""

    def replaced() -> FullUser:
        current = FullUser.model_validate(resource)
        wanted = FullUser.model_validate(body, scim_ctx=Context.RESOURCE_REPLACEMENT_REQUEST)
        wanted.id = current.id
        if wanted.active is None:
            wanted.active = current.active
        wanted.replace(current)
        return wanted

    return _user_state(_reading(replaced))


def patched_user(resource: Mapping[str, Any], body: Mapping[str, Any]) -> UserState:
    """The user after a PATCH, of which all operations are done. Raises Invalid."""
    patch = _patch(FullUser, body)
    user = FullUser.model_validate(resource)
    _reading(lambda: patch.patch(user))
    return _user_state(_reading(lambda: FullUser.model_validate(user.model_dump())))


def deactivated(resource: Mapping[str, Any]) -> UserState:
    """The same user, not active any more."""
    return _user_state(FullUser.model_validate({**resource, "active": False}))


def _user_state(user: Any) -> UserState:
    if not (user.user_name or "").strip():
        raise _invalid("A user has a userName.")
    if len(user.external_id or "") > TEXT_MAX_LENGTH:
        raise _invalid(f"A text has at most {TEXT_MAX_LENGTH} characters.")
    resource = {name: value for name, value in user.model_dump().items() if name not in _KEPT_APART}
    resource["schemas"] = [urn for urn in _SCHEMAS if urn == _SCHEMAS[0] or urn in resource]
    return UserState(
        name_key=compared(user.user_name),
        email=_address(user),
        active=bool(user.active),
        resource=resource,
        sought=cast("Mapping[str, Any]", _sought(resource)),
    )


def _address(user: Any) -> str | None:
    """Where a user is invited: the primary e-mail, else that of work, else the first, else a userName that is one."""
    emails = [item for item in user.emails or [] if item.value]
    chosen = (
        next((item for item in emails if item.primary), None)
        or next((item for item in emails if (item.type or "").lower() == "work"), None)
        or next(iter(emails), None)
    )
    if chosen is not None:
        try:
            return normalize_email(chosen.value)
        except Invalid as error:
            raise _invalid("emails: this is no e-mail address.") from error
    try:
        return normalize_email(user.user_name)
    except Invalid:
        return None


# -- groups ------------------------------------------------------------------------------------------------------------


def new_group(body: Mapping[str, Any]) -> GroupState:
    """A group to be made. Raises Invalid."""
    return _group_state(_reading(lambda: Group.model_validate(body, scim_ctx=Context.RESOURCE_CREATION_REQUEST)))


def replaced_group(body: Mapping[str, Any]) -> GroupState:
    """The group after a PUT. Raises Invalid."""
    return _group_state(_reading(lambda: Group.model_validate(body, scim_ctx=Context.RESOURCE_REPLACEMENT_REQUEST)))


def patched_group(state: GroupState, group_id: str, body: Mapping[str, Any]) -> GroupState:
    """The group after a PATCH, of which all operations are done. Raises Invalid."""
    for operation in _patch(Group, _without_own_id(body, group_id)).operations or ():
        state = _operated(state, operation)
    return _checked(state)


def _group_state(group: Group) -> GroupState:
    return _checked(GroupState(group.display_name or "", group.external_id, frozenset(_ids(group.members or ()))))


def _checked(state: GroupState) -> GroupState:
    if not state.display_name.strip():
        raise _invalid("A group has a displayName.")
    if max(len(state.display_name), len(state.external_id or "")) > TEXT_MAX_LENGTH:
        raise _invalid(f"A text has at most {TEXT_MAX_LENGTH} characters.")
    if len(state.members) > GROUP_MEMBERS_MAX:
        raise _invalid(f"A group has at most {GROUP_MEMBERS_MAX} members.")
    return state


def _operated(state: GroupState, operation: PatchOperation[Group]) -> GroupState:
    path = operation.path
    if path is None or path.model is not None:
        return _written(state, operation.value, adding=operation.op == PatchOperation.Op.add)
    if path.value_filter is not None:
        inside = isinstance(path.ast, ValuePath) and path.ast.sub_attr is not None
        return _selected(state, operation, path.value_filter, inside=inside)
    node = path.ast
    if path.resolve() is None or not isinstance(node, AttrPath):
        return state  # of an extension that we do not have
    name = node.attr.lower()
    if operation.op != PatchOperation.Op.remove:
        return _written(state, {node.attr: operation.value}, adding=operation.op == PatchOperation.Op.add)
    if name == "externalid":
        return replace(state, external_id=None)
    if name == "members" and node.sub_attr is None:
        gone = state.members if operation.value is None else frozenset(_ids(_listed(operation.value)))
        return replace(state, members=state.members - gone)
    return state


def _written(state: GroupState, value: Any, *, adding: bool) -> GroupState:
    """What an operation without a path, or with that of one attribute, leaves. Others are dropped."""
    if not isinstance(value, Mapping):
        raise _invalid("Without a path the value is an object of attributes.")
    for name, item in value.items():
        match name.lower().rpartition(":")[2]:
            case "displayname":
                state = replace(state, display_name=_text(item, name) or "")
            case "externalid":
                state = replace(state, external_id=_text(item, name))
            case "members":
                ids = frozenset(_ids(_listed(item)))
                state = replace(state, members=state.members | ids if adding else ids)
    return state


def _selected(state: GroupState, operation: PatchOperation[Group], picking: FilterNode, *, inside: bool) -> GroupState:
    """An operation on `members[value eq "…"]`: members come and go, and nothing `inside` of one ever changes."""
    if operation.op != PatchOperation.Op.remove or inside:
        raise Invalid("What a group says of a member cannot be changed.", code="mutability")
    return replace(state, members=state.members - _matching(picking, state.members))


def _matching(node: FilterNode, members: frozenset[str]) -> frozenset[str]:
    """The members that a filter picks, by id; all of them are users."""
    if isinstance(node, Not):
        return members - _matching(node.expr, members)
    if isinstance(node, LogicalExpr):
        picked = [_matching(term, members) for term in node.terms]
        return frozenset.intersection(*picked) if node.op == LogicalOperator.and_ else frozenset.union(*picked)
    if isinstance(node, Present):
        return members if node.attr_path.attr.lower() in ("value", "type") else frozenset()
    if isinstance(node, Comparison) and node.op == CompareOperator.eq and isinstance(node.value, str):
        name = node.attr_path.attr.lower()
        if name == "value":
            return members & {node.value}
        if name == "type":
            return members if node.value.lower() == "user" else frozenset()
    raise Invalid("Members are picked by value and type, with eq.", code="invalid_filter")


def _without_own_id(body: Mapping[str, Any], group_id: str) -> Mapping[str, Any]:
    """Okta names the group in the value of an operation that renames it; its own id changes nothing."""
    operations = body.get("Operations")
    if not isinstance(operations, list):
        return body
    return {**body, "Operations": [_nameless(item, group_id) for item in operations]}


def _nameless(operation: Any, group_id: str) -> Any:
    value = operation.get("value") if isinstance(operation, dict) else None
    if isinstance(value, dict) and value.get("id") == group_id:
        return {**operation, "value": {name: item for name, item in value.items() if name != "id"}}
    return operation


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _ids(members: Iterable[Any]) -> Iterator[str]:
    """The users among whom a group is. A reference does for an id; groups within groups are not taken."""
    for item in members:
        body = {"value": item} if isinstance(item, str) else item.model_dump() if isinstance(item, BaseModel) else item
        if not isinstance(body, Mapping):
            raise _invalid("A member of a group is an object with a value.")
        value = body.get("value") or str(body.get("$ref") or "").rpartition("/")[2]
        if str(body.get("type") or "user").lower() != "user":
            raise _invalid("A member of a group is a user.")
        if not isinstance(value, str) or not value:
            raise _invalid("A member of a group is named by its value.")
        yield value


def _text(value: Any, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _invalid(f"{name} is a text.")
    return value


# -- both --------------------------------------------------------------------------------------------------------------


def _patch(model: Any, body: Mapping[str, Any]) -> Any:
    operations = next((value for name, value in body.items() if name.lower() == "operations"), None)
    if isinstance(operations, list) and len(operations) > OPERATIONS_MAX:
        raise Invalid(f"A PATCH has at most {OPERATIONS_MAX} operations.", code="too_large")
    return _reading(lambda: PatchOp[model].model_validate(body, scim_ctx=Context.RESOURCE_PATCH_REQUEST))


def _reading(read: Callable[[], T]) -> T:
    """What `read` makes of somebody's body. Raises Invalid, which never repeats the body."""
    try:
        with POLICY:
            return read()
    except ValidationError as error:
        raise _of_validation(error) from error
    except SCIMException as error:
        if isinstance(error.__cause__, ValidationError):
            raise _of_validation(error.__cause__) from error
        raise Invalid(error.detail[:200], code=slug(error.scim_type)) from error
    except RecursionError as error:
        raise _invalid("This goes too deep.") from error


def slug(scim_type: str) -> str:
    """`invalid_path` of SCIM's `invalidPath`."""
    return _CAPITAL.sub("_", scim_type).lower() or "invalid_value"


def _of_validation(error: ValidationError) -> Invalid:
    first = error.errors(include_url=False, include_input=False, include_context=True)[0]
    place = ".".join(str(part) for part in first["loc"])[:100]
    scim_type = (first.get("ctx") or {}).get("scim_type") or "invalidValue"
    message = str(first["msg"]).removeprefix("Value error, ")[:200]
    return Invalid(f"{place}: {message}" if place else message, code=slug(str(scim_type)))


def _invalid(message: str) -> Invalid:
    return Invalid(message, code="invalid_value")


def _sought(value: Any, name: str = "") -> Any:
    """The same with every text as it is compared."""
    if isinstance(value, dict):
        return {key: _sought(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_sought(item) for item in value]
    return compared(value) if isinstance(value, str) and name not in _EXACT else value
