"""What the platform keeps of SCIM's users and groups (RFC 7643), and how it reads what providers send.

The models are those of scim2-models, with the attributes that the platform has a use for; it publishes them at
`/scim/v2/Schemas`. What else a provider sends is taken and dropped: no postal address, telephone number, picture or
password of anybody is kept.

Annotations are evaluated here: scim2-models reads a model as soon as its class is there, and users and groups name one
another.
"""

from typing import Annotated, Any, ClassVar, Final

from pydantic import Field
from scim2_models import (
    URN,
    AnyExtension,
    CaseExact,
    ComplexAttribute,
    Extension,
    Mutability,
    Reference,
    Required,
    Resource,
    ScimPolicy,
    Uniqueness,
)

TEXT_MAX_LENGTH: Final = 256
"""Of each text of a user or group."""
EMAILS_MAX: Final = 10
GROUP_MEMBERS_MAX: Final = 5_000
OPERATIONS_MAX: Final = 200
"""Operations of one PATCH; for a group each may list as many members as a group may have."""

Text = Annotated[str, Field(max_length=TEXT_MAX_LENGTH)]

POLICY: Final = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)
"""Tolerant where Entra ID and Okta depart from the standard: they send attributes that we do not have, name the members
to remove in `value`, and write to `emails[type eq "work"].value` where there is no such e-mail yet."""


class Name(ComplexAttribute):
    formatted: Text | None = None
    family_name: Text | None = None
    given_name: Text | None = None


class Email(ComplexAttribute):
    value: Text | None = None
    """An e-mail address."""
    type: Text | None = None
    primary: bool | None = None


class GroupMembership(ComplexAttribute):
    value: Annotated[str | None, Mutability.read_only, CaseExact.true] = None
    ref: Annotated[Reference["Group"] | None, Mutability.read_only] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    display: Annotated[str | None, Mutability.read_only] = None


class User(Resource[AnyExtension]):
    """Somebody who is to be a member of the tenant."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[Text | None, Uniqueness.server, Required.true] = None
    name: Name | None = None
    display_name: Text | None = None
    title: Text | None = None
    user_type: Text | None = None
    preferred_language: Text | None = None
    locale: Text | None = None
    timezone: Text | None = None
    active: bool | None = None
    emails: Annotated[list[Email] | None, Field(max_length=EMAILS_MAX)] = None
    groups: Annotated[list[GroupMembership] | None, Mutability.read_only] = None

    Name: ClassVar[type[ComplexAttribute]] = Name
    Emails: ClassVar[type[ComplexAttribute]] = Email
    Groups: ClassVar[type[ComplexAttribute]] = GroupMembership


class EnterpriseUser(Extension):
    """What a provider says of somebody's work."""

    __schema__ = URN("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User")

    employee_number: Text | None = None
    cost_center: Text | None = None
    organization: Text | None = None
    division: Text | None = None
    department: Text | None = None


class GroupMember(ComplexAttribute):
    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None
    ref: Annotated[Reference["User"] | None, Mutability.immutable] = Field(  # type: ignore[type-arg]
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User"])


class Group(Resource[Any]):
    """People of the directory who belong together."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:Group")

    display_name: Annotated[Text | None, Uniqueness.server, Required.true] = None
    members: Annotated[list[GroupMember] | None, Field(max_length=GROUP_MEMBERS_MAX)] = None

    Members: ClassVar[type[ComplexAttribute]] = GroupMember


FullUser = User[EnterpriseUser]
"""A user with the one extension that we have."""
