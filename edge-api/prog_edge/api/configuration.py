"""What a tenant sets for itself: the document, its history, differences and roll-back; and its logo."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Header, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from prog_contracts.configuration import (
    Branding,
    Configuration,
    ConfigurationVersion,
    ConfigureTenant,
    InvitationSettings,
    MailSettings,
    RollBackConfiguration,
    StoreLogo,
)
from prog_contracts.errors import NotFound
from prog_edge import logos
from prog_edge.access import Access, Needs
from prog_edge.api.shapes import Body, Listing, Paging, Resource, problems
from prog_edge.pictures import from_base64
from prog_edge.problems import Refused
from prog_edge.versions.table import check_default
from prog_edge.writes import Write, perform
from prog_workers.tenants import queries
from prog_workers.tenants.queries import VersionRow

router = APIRouter(prefix="/v1/tenants/{tenant_id}", tags=["Configuration"])

MAX_VERSION: Final = 2**31 - 1
Reads = Annotated[Access, Depends(Needs("config.read", "path"))]
Changes = Annotated[Access, Depends(Needs("config.update", "path"))]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=100,
        description='The `ETag` of the version that the change is made from, such as `"3"`; `*` for any.',
    ),
]
Version = Annotated[int, Path(ge=1, le=MAX_VERSION)]
_LOGO_ID: Final = "9f86d081884c7d659a2feaa0c55ad015"
_LOGO_URL: Final = f"https://app.example.com/brand/tenant_01jd7z4c8nf3ktv9q2m6x0r5we/logo/{_LOGO_ID}.png"
_STRICT: Final = ConfigDict(extra="forbid")
_TELLS_VERSION: Final[dict[int | str, dict[str, Any]]] = {
    200: {"headers": {"ETag": {"description": "The version, for `If-Match`.", "schema": {"type": "string"}}}}
}


class _Branding(Branding):
    model_config = _STRICT


class _Mail(MailSettings):
    model_config = _STRICT


class _Invitations(InvitationSettings):
    model_config = _STRICT


class Settings(Configuration):
    """The whole document. What is left out has its default; what is not known is refused."""

    model_config = _STRICT

    branding: _Branding = _Branding()
    mail: _Mail = _Mail()
    invitations: _Invitations = _Invitations()


class ConfigChange(Body):
    settings: Settings
    reason: str | None = Field(None, max_length=500, description="Why; kept with the version.")


class RollBack(Body):
    version: int = Field(ge=1, le=MAX_VERSION, description="Whose settings are to hold again.")
    reason: str | None = Field(None, max_length=500, description="Why; kept with the new version.")


class ConfigVersion(Resource):
    """One version. `version` 0 is a tenant's that was never configured: every setting has its default."""

    version: int
    settings: Configuration
    changed: list[str] = Field(description="The settings that are different from the version before.")
    changed_by: str | None = Field(description="The person, or `person/key`; null for what a tenant begins with.")
    changed_at: datetime | None
    reason: str | None
    restored_version: int | None = Field(description="The earlier version whose settings these are again.")


class Difference(Resource):
    setting: str = Field(examples=["branding.name"])
    before: Any
    after: Any


class Differences(Resource):
    from_version: int
    to_version: int
    data: list[Difference]


class DiffQuery(BaseModel):
    model_config = _STRICT

    from_version: int | None = Field(None, ge=0, le=MAX_VERSION, description="The one before `to_version` by default.")
    to_version: int | None = Field(None, ge=0, le=MAX_VERSION, description="The present one by default.")


class LogoWish(Body):
    image: str = Field(
        min_length=1,
        max_length=(logos.SENT_MAX_BYTES + 2) // 3 * 4,
        description="A PNG, JPEG or WebP picture in base64.",
        json_schema_extra={"contentEncoding": "base64"},
    )


class Logo(Resource):
    """A picture that `settings.branding.logo` may name by its `id`. It was drawn anew as PNG."""

    id: str = Field(examples=[_LOGO_ID])
    width: int
    height: int
    size_bytes: int
    url: str = Field(examples=[_LOGO_URL])


@router.get("/config", response_model=ConfigVersion, responses={**_TELLS_VERSION, **problems(401, 403, 404)})
async def get_config(tenant_id: str, access: Reads, response: Response) -> ConfigVersion:
    """The configuration that holds. Its `ETag` is for `If-Match`."""
    async with access.newest_rows() as connection:
        found = _shown(await queries.config(connection, tenant_id))
    response.headers["ETag"] = _etag(found.version)
    return found


@router.put(
    "/config",
    response_model=ConfigVersion,
    responses={**_TELLS_VERSION, **problems(401, 403, 404, 409, 412, 422, 428)},
)
async def put_config(
    tenant_id: str, body: ConfigChange, request: Request, access: Changes, if_match: IfMatch = None
) -> Response:
    """Put a whole document in place, as the next version.

    `If-Match` says which version it was made from, so that nobody undoes what somebody else has changed meanwhile
    (412). Settings that are what they were make no version. Colours are refused in which text cannot be read
    (WCAG AA), with a shade that can; so is an `api_version` that there is not.
    """
    if if_match is None:
        detail = "Send the version that the change is made from, the ETag of GET, as If-Match."
        raise Refused(428, "precondition_required", detail)
    check_default(body.settings.api_version)
    command = ConfigureTenant(
        tenant_id=tenant_id,
        configuration=Configuration.model_validate(body.settings.model_dump()),
        expected_version=_expected(if_match),
        reason=body.reason,
    )
    return await _changed(request, access, command)


@router.post(
    "/config/rollback",
    response_model=ConfigVersion,
    responses={**_TELLS_VERSION, **problems(401, 403, 404, 409, 412, 422)},
)
async def roll_back_config(
    tenant_id: str, body: RollBack, request: Request, access: Changes, if_match: IfMatch = None
) -> Response:
    """Put the settings of an earlier version in place again, as a new version."""
    command = RollBackConfiguration(
        tenant_id=tenant_id, version=body.version, expected_version=_expected(if_match or "*"), reason=body.reason
    )
    return await _changed(request, access, command)


@router.get("/config/history", responses=problems(401, 403, 404, 422))
async def list_config_versions(
    tenant_id: str, paging: Annotated[Paging, Query()], access: Reads
) -> Listing[ConfigVersion]:
    """Every version that there was, newest first: who changed what, when and why."""
    async with access.rows() as connection:
        page = await queries.config_history(connection, tenant_id, limit=paging.limit, cursor=paging.cursor)
    return Listing(data=[_shown(row) for row in page.rows], next_cursor=page.next_cursor)


@router.get("/config/history/{version}", responses=problems(401, 403, 404))
async def get_config_version(tenant_id: str, version: Version, access: Reads) -> ConfigVersion:
    """One version."""
    async with access.rows() as connection:
        return _shown(_there(await queries.config_version(connection, tenant_id, version)))


@router.get("/config/diff", responses=problems(401, 403, 404, 422))
async def compare_config_versions(tenant_id: str, wanted: Annotated[DiffQuery, Query()], access: Reads) -> Differences:
    """What is different between two versions; version 0 has the default of every setting."""
    async with access.rows() as connection:
        current = await queries.config(connection, tenant_id)
        newest = 0 if current is None else current.version
        to_version = newest if wanted.to_version is None else wanted.to_version
        from_version = max(to_version - 1, 0) if wanted.from_version is None else wanted.from_version
        documents = [
            Configuration()
            if version == 0
            else _there(await queries.config_version(connection, tenant_id, version)).configuration
            for version in (from_version, to_version)
        ]
    changes = documents[0].changes(documents[1])
    return Differences(
        from_version=from_version,
        to_version=to_version,
        data=[Difference(setting=name, before=before, after=after) for name, (before, after) in changes.items()],
    )


@router.post("/logos", status_code=201, response_model=Logo, responses=problems(401, 403, 404, 409, 413, 422))
async def store_logo(tenant_id: str, body: LogoWish, request: Request, access: Changes) -> Response:
    """Keep a picture as a logo; it shows once `settings.branding.logo` names it.

    It is decoded and drawn anew as a PNG of 640 by 320 pixels at most, so nothing else that was in the file is kept.
    """
    picture = await logos.drawn(from_base64(body.image))
    command = StoreLogo(tenant_id=tenant_id, content=picture.content, width=picture.width, height=picture.height)

    def present(result: Mapping[str, Any]) -> Logo:
        path = logo_path(tenant_id, result["logo_id"])
        return Logo(
            id=result["logo_id"],
            width=result["width"],
            height=result["height"],
            size_bytes=result["size_bytes"],
            url=f"{access.context.public_url}{path}",
        )

    return await perform(request, access, Write(command, access.tenant, present, status=201, location=_address))


def _address(logo: Any) -> str:
    return str(logo.url)


def logo_path(tenant_id: str, logo_id: str) -> str:
    """Where a logo is served, to anybody: mails show it."""
    return f"/brand/{tenant_id}/logo/{logo_id}.png"


async def _changed(request: Request, access: Access, command: ConfigureTenant | RollBackConfiguration) -> Response:
    def present(result: Mapping[str, Any]) -> ConfigVersion:
        return _resource(ConfigurationVersion.model_validate(result))

    response = await perform(request, access, Write(command, access.tenant, present))
    if response.status_code == 200:  # also the answer to a request that is sent again
        response.headers["ETag"] = _etag(orjson.loads(bytes(response.body))["version"])
    access.platform.brands.forget(access.tenant)
    access.platform.standings.forget(access.tenant)
    return response


def _shown(row: VersionRow | None) -> ConfigVersion:
    return _resource(ConfigurationVersion() if row is None else row)


def _resource(row: VersionRow | ConfigurationVersion) -> ConfigVersion:
    return ConfigVersion(
        version=row.version,
        settings=row.configuration,
        changed=list(row.changed),
        changed_by=row.changed_by,
        changed_at=row.changed_at,
        reason=row.reason,
        restored_version=row.restored_version,
    )


def _there(row: VersionRow | None) -> VersionRow:
    if row is None:
        raise NotFound("The configuration never had this version.", code="config_version_not_found")
    return row


def _etag(version: int) -> str:
    return f'"{version}"'


def _expected(if_match: str) -> int | None:
    """The version that an If-Match names; None for any. Raises Refused for what is no ETag of ours."""
    text = if_match.strip()
    if text == "*":
        return None
    number = text.removeprefix('"').removesuffix('"')
    if len(text) == len(number) + 2 and number.isascii() and number.isdecimal() and len(number) < 11:
        return int(number)
    raise Refused(412, "version_mismatch", 'If-Match takes one ETag that GET has given, such as "3", or *.')
