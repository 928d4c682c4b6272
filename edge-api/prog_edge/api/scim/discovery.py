"""What this server can do, and how its users and groups look (RFC 7644, section 4). What it cannot do, it says."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from scim2_models import (
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    ETag,
    Filter,
    Patch,
    ResourceType,
    Schema,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
)
from starlette.responses import Response

from prog_contracts.errors import NotFound
from prog_contracts.scim import EnterpriseUser, FullUser, Group, User
from prog_edge.access import Access, Needs
from prog_edge.api.scim import documented
from prog_edge.api.scim.answers import PAGE_SIZE_MAX, base_of, list_of, plain
from prog_edge.problems import Refused
from prog_edge.scim_errors import PREFIX

router = APIRouter(prefix=PREFIX, tags=["SCIM"])

Keeps = Annotated[Access, Depends(Needs("scim.manage"))]


@cache
def provider() -> ScimProvider:
    """What is published: the schemas, what they are bound to, and the capabilities."""
    return ScimProvider(
        models=[User, EnterpriseUser, Group, ServiceProviderConfig, ResourceType, Schema],
        resource_types=[ResourceType.from_resource(FullUser), ResourceType.from_resource(Group)],
        config=ServiceProviderConfig(
            patch=Patch(supported=True),
            bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
            filter=Filter(supported=True, max_results=PAGE_SIZE_MAX),
            change_password=ChangePassword(supported=False),
            sort=Sort(supported=True),
            etag=ETag(supported=True),
            authentication_schemes=[
                AuthenticationScheme(
                    type=AuthenticationScheme.Type.oauthbearertoken,
                    name="API key",
                    description="An API key of the tenant with the scope scim.manage, sent as a bearer token.",
                    primary=True,
                )
            ],
        ),
    )


@router.get("/ServiceProviderConfig", openapi_extra=documented.answered(documented.CONFIGURATION))
async def get_scim_configuration(request: Request, access: Keeps) -> Response:
    """What this server can do of SCIM."""
    config = provider().config
    assert config is not None
    return plain(_located([config], request, "ServiceProviderConfig", by_id=False)[0])


@router.get("/ResourceTypes", openapi_extra=documented.answered_with_list(documented.RESOURCE_TYPE))
async def list_scim_resource_types(request: Request, access: Keeps) -> Response:
    """That there are users and groups, and where."""
    found = _located(provider().resource_types, request, "ResourceTypes")
    return plain(list_of(found, len(found)))


@router.get("/ResourceTypes/{resource_type}", openapi_extra=documented.answered(documented.RESOURCE_TYPE))
async def get_scim_resource_type(resource_type: str, request: Request, access: Keeps) -> Response:
    """Where users, or groups, are."""
    return plain(_one(_located(provider().resource_types, request, "ResourceTypes"), resource_type))


@router.get("/Schemas", openapi_extra=documented.answered_with_list(documented.SCHEMA))
async def list_scim_schemas(request: Request, access: Keeps) -> Response:
    """Which attributes are kept, and which schemas this description itself follows."""
    found = _located(provider().schemas, request, "Schemas")
    return plain(list_of(found, len(found)))


@router.get("/Schemas/{schema_id}", openapi_extra=documented.answered(documented.SCHEMA))
async def get_scim_schema(schema_id: str, request: Request, access: Keeps) -> Response:
    """The attributes of one schema."""
    return plain(_one(_located(provider().schemas, request, "Schemas"), schema_id))


_NOT_OFFERED: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@router.api_route("/Bulk", methods=["POST"], include_in_schema=False)
@router.api_route("/.search", methods=["POST"], include_in_schema=False)
@router.api_route("/Me", methods=_NOT_OFFERED, include_in_schema=False)
async def not_offered(access: Keeps) -> Response:
    """What the standard leaves open and this server does not do, as its configuration says."""
    raise Refused(501, "not_implemented", "This server does not do this: look at ServiceProviderConfig.")


def _located(resources: Iterable[Any], request: Request, endpoint: str, *, by_id: bool = True) -> list[dict[str, Any]]:
    if "filter" in request.query_params:
        raise Refused(403, "filter_not_allowed", "What describes the server cannot be filtered.")
    return [
        {
            **resource.model_dump(),
            "meta": {
                "resourceType": type(resource).__name__,
                "location": f"{base_of(request)}/{endpoint}" + (f"/{resource.id}" if by_id else ""),
            },
        }
        for resource in resources
    ]


def _one(found: list[dict[str, Any]], wanted: str) -> dict[str, Any]:
    for resource in found:
        if resource["id"] == wanted:
            return resource
    raise NotFound("There is no such description.")
