"""The table of every route and what it asks of its caller. A change here is a change of who may do what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import iscoroutinefunction
from typing import Any

from fastapi.dependencies.models import Dependant

from prog_edge.api import ROUTERS
from prog_edge.api.contract import api_routes, declaration_of
from prog_edge.web.mount import ROUTERS as PAGES
from prog_edge.writes import MOVES_MONEY, UNDEFERRABLE

TABLE = """
POST   /v1/auth/register                              public
POST   /v1/auth/email/verify                          public
POST   /v1/auth/email/resend                          public
POST   /v1/auth/password/forgot                       public
POST   /v1/auth/password/reset                        public
POST   /v1/auth/login                                 public
POST   /v1/auth/magic-link                            public
POST   /v1/auth/magic-link/consume                    public
POST   /v1/auth/refresh                               public
POST   /v1/auth/logout                                public
GET    /.well-known/jwks.json                         public
GET    /.well-known/openid-configuration              public
GET    /.well-known/oauth-authorization-server        public
POST   /oauth2/token                                  -
POST   /oauth2/authorize                              -
POST   /oauth2/logout                                 -
POST   /oauth2/introspect                             -
POST   /oauth2/revoke                                 -
GET    /userinfo                                      -
POST   /userinfo                                      -
GET    /v1/me                                         signed_in
PATCH  /v1/me                                         signed_in
PUT    /v1/me/avatar                                  signed_in
DELETE /v1/me/avatar                                  signed_in
GET    /v1/me/sessions                                signed_in
DELETE /v1/me/sessions                                signed_in
DELETE /v1/me/sessions/{session_id}                   signed_in
GET    /v1/users                                      platform.read
GET    /v1/users/{user_id}                            platform.read
GET    /v1/me/activity                                signed_in
DELETE /v1/me                                         signed_in
POST   /v1/me/restore                                 signed_in
DELETE /v1/users/{user_id}                            platform.manage
POST   /v1/users/{user_id}/restore                    platform.manage
POST   /v1/me/export                                  signed_in
POST   /v1/auth/mfa                                   public
POST   /v1/auth/step-up                               signed_in
GET    /v1/me/mfa                                     signed_in
POST   /v1/me/mfa/totp                                signed_in
POST   /v1/me/mfa/totp/confirm                        signed_in
DELETE /v1/me/mfa/totp                                signed_in
POST   /v1/me/mfa/recovery-codes                      signed_in
POST   /v1/me/password                                signed_in
POST   /v1/users/{user_id}/mfa/reset                  platform.manage
GET    /v1/auth/oauth                                 public
GET    /v1/me/identities                              signed_in
DELETE /v1/me/identities/{identity_id}                signed_in
POST   /v1/auth/passkey/begin                         public
POST   /v1/auth/passkey/finish                        public
POST   /v1/auth/mfa/passkey/begin                     public
POST   /v1/auth/step-up/passkey/begin                 signed_in
GET    /v1/me/mfa/passkeys                            signed_in
POST   /v1/me/mfa/passkeys/begin                      signed_in
POST   /v1/me/mfa/passkeys                            signed_in
PATCH  /v1/me/mfa/passkeys/{passkey_id}               signed_in
DELETE /v1/me/mfa/passkeys/{passkey_id}               signed_in
POST   /v1/users/{user_id}/impersonate                platform.manage
GET    /v1/impersonations                             platform.read
GET    /v1/impersonations/{impersonation_id}          platform.read
POST   /v1/impersonations/{impersonation_id}/end      platform.manage
POST   /v1/tenants                                    signed_in
GET    /v1/tenants                                    signed_in
GET    /v1/tenants/{tenant_id}                        tenant.read
PATCH  /v1/tenants/{tenant_id}                        tenant.update
POST   /v1/tenants/{tenant_id}/suspend                platform.manage
POST   /v1/tenants/{tenant_id}/resume                 platform.manage
DELETE /v1/tenants/{tenant_id}                        tenant.delete
POST   /v1/tenants/{tenant_id}/restore                tenant.delete
POST   /v1/tenants/{tenant_id}/clock                  clock.move
POST   /v1/tenants/{tenant_id}/clock/advance          clock.move
GET    /v1/tenants/{tenant_id}/clock                  tenant.read
POST   /v1/tenants/{tenant_id}/export                 tenant.export
GET    /v1/tenants/{tenant_id}/exports                tenant.export
GET    /v1/tenants/{tenant_id}/exports/{export_id}    tenant.export
POST   /v1/tenants/{tenant_id}/exports/{export_id}/file tenant.export
GET    /v1/tenants/{tenant_id}/limits                 tenant.read
GET    /v1/tenants/{tenant_id}/usage                  tenant.read
GET    /v1/tenants/{tenant_id}/config                 config.read
PUT    /v1/tenants/{tenant_id}/config                 config.update
POST   /v1/tenants/{tenant_id}/config/rollback        config.update
GET    /v1/tenants/{tenant_id}/config/history         config.read
GET    /v1/tenants/{tenant_id}/config/history/{version} config.read
GET    /v1/tenants/{tenant_id}/config/diff            config.read
POST   /v1/tenants/{tenant_id}/logos                  config.update
GET    /v1/tenants/{tenant_id}/members                member.read
PATCH  /v1/tenants/{tenant_id}/members/{user_id}      member.manage
DELETE /v1/tenants/{tenant_id}/members/{user_id}      member.manage
POST   /v1/tenants/{tenant_id}/leave                  signed_in
GET    /v1/tenants/{tenant_id}/invitations            member.read
POST   /v1/tenants/{tenant_id}/invitations            member.invite
POST   /v1/tenants/{tenant_id}/invitations/{invitation_id}/resend member.invite
DELETE /v1/tenants/{tenant_id}/invitations/{invitation_id} member.invite
POST   /v1/invitations/accept                         signed_in
GET    /v1/tenants/{tenant_id}/sign-on                sign_on.manage
PUT    /v1/tenants/{tenant_id}/sign-on                sign_on.manage
DELETE /v1/tenants/{tenant_id}/sign-on                sign_on.manage
GET    /v1/tenants/{tenant_id}/domains                sign_on.manage
POST   /v1/tenants/{tenant_id}/domains                sign_on.manage
POST   /v1/tenants/{tenant_id}/domains/{domain}/check sign_on.manage
DELETE /v1/tenants/{tenant_id}/domains/{domain}       sign_on.manage
GET    /v1/tenants/{tenant_id}/custom-domains         custom_domain.manage
POST   /v1/tenants/{tenant_id}/custom-domains         custom_domain.manage
POST   /v1/tenants/{tenant_id}/custom-domains/{domain}/check custom_domain.manage
DELETE /v1/tenants/{tenant_id}/custom-domains/{domain} custom_domain.manage
GET    /v1/api-keys                                   api_key.manage
GET    /v1/api-keys/{key_id}                          api_key.manage
POST   /v1/api-keys                                   api_key.manage
POST   /v1/api-keys/{key_id}/roll                     api_key.manage
DELETE /v1/api-keys/{key_id}                          api_key.manage
GET    /v1/oauth-clients                              client.manage
GET    /v1/oauth-clients/{client_id}                  client.manage
POST   /v1/oauth-clients                              client.manage
PATCH  /v1/oauth-clients/{client_id}                  client.manage
POST   /v1/oauth-clients/{client_id}/roll-secret      client.manage
DELETE /v1/oauth-clients/{client_id}                  client.manage
GET    /v1/me/authorized-clients                      signed_in
DELETE /v1/me/authorized-clients/{client_id}          signed_in
GET    /v1/directory                                  directory.manage
PATCH  /v1/directory                                  directory.manage
GET    /v1/directory/groups                           directory.manage
GET    /v1/directory/groups/{directory_group_id}      directory.manage
PATCH  /v1/directory/groups/{directory_group_id}      directory.manage
GET    /v1/prices                                     public
GET    /v1/products                                   public
GET    /v1/customers                                  billing.read
GET    /v1/payment-methods                            billing.read
POST   /v1/payment-methods                            billing.manage
POST   /v1/subscriptions                              billing.manage
GET    /v1/subscriptions                              billing.read
GET    /v1/subscriptions/{subscription_id}            billing.read
POST   /v1/subscriptions/{subscription_id}/cancel     billing.manage
GET    /v1/invoices                                   billing.read
GET    /v1/invoices/{invoice_id}                      billing.read
GET    /v1/invoices/{invoice_id}/pdf                  billing.read
POST   /v1/invoices/{invoice_id}/pay                  billing.manage
GET    /v1/payments                                   billing.read
GET    /v1/events                                     event.read
GET    /v1/events/stream                              event.read
GET    /v1/events/{event_id}                          event.read
POST   /v1/events                                     event.publish
GET    /v1/schemas                                    event.read
GET    /v1/schemas/{type_name}/{version}              event.read
POST   /v1/schemas                                    config.update
POST   /v1/schemas/check                              config.update
GET    /v1/story/{any_id}                             event.read
GET    /v1/audit                                      audit.read
GET    /v1/messages                                   event.read
GET    /v1/messages/{mail_id}                         event.read
GET    /v1/mailbox                                    public
GET    /v1/mailbox/{letter_id}                        public
GET    /v1/operations/{operation_id}                  public
GET    /v1/dead-letters                               platform.read
GET    /v1/dead-letters/groups platform.read
POST   /v1/dead-letters/redrive platform.manage
POST   /v1/dead-letters/drop platform.manage
PATCH  /v1/dead-letters/{letter_id} platform.manage
GET    /v1/dead-letters/{letter_id}                   platform.read
GET    /v1/replays platform.read
GET    /v1/replays/{replay_id} platform.read
POST   /v1/replays platform.manage
POST   /v1/replays/{replay_id}/pause platform.manage
POST   /v1/replays/{replay_id}/resume platform.manage
POST   /v1/replays/{replay_id}/cancel platform.manage
POST   /v1/logout-notices/resend platform.manage
GET    /v1/health/services                            platform.read
GET    /v1/metrics/consumers                          platform.read
GET    /v1/topics                                     platform.read
GET    /v1/topics/{name}                              platform.read
GET    /v1/analytics/tenants                          platform.read
POST   /v1/leads                                      public
GET    /healthz                                       -
GET    /readyz                                        public
GET    /metrics                                       -
GET    /internal/tls/allowed                          -
GET    /openapi.json                                  -
GET    /docs                                          -
GET    /docs/errors                                   -
GET    /docs/versions                                 -
GET    /scim/v2/ServiceProviderConfig                 scim.manage
GET    /scim/v2/ResourceTypes                         scim.manage
GET    /scim/v2/ResourceTypes/{resource_type}         scim.manage
GET    /scim/v2/Schemas                               scim.manage
GET    /scim/v2/Schemas/{schema_id}                   scim.manage
DELETE /scim/v2/Me                                    scim.manage
GET    /scim/v2/Me                                    scim.manage
PATCH  /scim/v2/Me                                    scim.manage
POST   /scim/v2/Me                                    scim.manage
PUT    /scim/v2/Me                                    scim.manage
POST   /scim/v2/.search                               scim.manage
POST   /scim/v2/Bulk                                  scim.manage
GET    /scim/v2/Users                                 scim.manage
POST   /scim/v2/Users/.search                         scim.manage
GET    /scim/v2/Users/{directory_user_id}             scim.manage
POST   /scim/v2/Users                                 scim.manage
PUT    /scim/v2/Users/{directory_user_id}             scim.manage
PATCH  /scim/v2/Users/{directory_user_id}             scim.manage
DELETE /scim/v2/Users/{directory_user_id}             scim.manage
GET    /scim/v2/Groups                                scim.manage
POST   /scim/v2/Groups/.search                        scim.manage
GET    /scim/v2/Groups/{directory_group_id}           scim.manage
POST   /scim/v2/Groups                                scim.manage
PUT    /scim/v2/Groups/{directory_group_id}           scim.manage
PATCH  /scim/v2/Groups/{directory_group_id}           scim.manage
DELETE /scim/v2/Groups/{directory_group_id}           scim.manage
"""

IN_SOMEBODY_S_NAME = """
GET    /v1/me
GET    /v1/me/sessions
GET    /v1/me/activity
GET    /v1/me/mfa
GET    /v1/me/identities
GET    /v1/me/mfa/passkeys
GET    /v1/tenants
GET    /v1/tenants/{tenant_id}
PATCH  /v1/tenants/{tenant_id}
POST   /v1/tenants/{tenant_id}/clock
POST   /v1/tenants/{tenant_id}/clock/advance
GET    /v1/tenants/{tenant_id}/clock
GET    /v1/tenants/{tenant_id}/limits
GET    /v1/tenants/{tenant_id}/usage
GET    /v1/tenants/{tenant_id}/config
PUT    /v1/tenants/{tenant_id}/config
POST   /v1/tenants/{tenant_id}/config/rollback
GET    /v1/tenants/{tenant_id}/config/history
GET    /v1/tenants/{tenant_id}/config/history/{version}
GET    /v1/tenants/{tenant_id}/config/diff
POST   /v1/tenants/{tenant_id}/logos
GET    /v1/tenants/{tenant_id}/members
GET    /v1/tenants/{tenant_id}/invitations
GET    /v1/me/authorized-clients
GET    /v1/customers
GET    /v1/payment-methods
GET    /v1/subscriptions
GET    /v1/subscriptions/{subscription_id}
GET    /v1/invoices
GET    /v1/invoices/{invoice_id}
GET    /v1/invoices/{invoice_id}/pdf
GET    /v1/payments
GET    /v1/events
GET    /v1/events/stream
GET    /v1/events/{event_id}
POST   /v1/events
GET    /v1/schemas
GET    /v1/schemas/{type_name}/{version}
POST   /v1/schemas
POST   /v1/schemas/check
GET    /v1/story/{any_id}
GET    /v1/audit
GET    /v1/messages
GET    /v1/messages/{mail_id}
"""
"""What an operator may ask in a person's name, besides what anybody may. All else is refused: what is the person's
alone, gives anybody access, moves money, or is for the platform's staff."""


def rows() -> list[tuple[str, str, str]]:
    return [
        (method, route.path_format, declared.permission if declared else "-")
        for route in api_routes(ROUTERS)
        for declared in (declaration_of(route),)
        for method in sorted(route.methods or ())
    ]


def test_every_route_asks_what_the_table_says() -> None:
    expected = [tuple(line.split()) for line in TABLE.strip().splitlines()]
    assert rows() == expected


def test_every_route_of_the_api_declares_what_it_needs() -> None:
    silent = [path for _, path, permission in rows() if permission == "-" and path.startswith(("/v1", "/scim"))]
    assert silent == []


def test_no_write_is_open_to_readers() -> None:
    writes = [(method, path, permission) for method, path, permission in rows() if method != "GET"]
    assert [row for row in writes if row[2].endswith(".read")] == []


def test_the_special_routes_exist() -> None:
    known = {(method, path) for method, path, _ in rows()}
    assert known >= MOVES_MONEY | UNDEFERRABLE


def test_every_route_but_those_of_the_table_is_refused_in_somebody_s_name() -> None:
    answering = [
        (method, route.path_format)
        for route in api_routes(ROUTERS)
        for declared in (declaration_of(route),)
        if declared is not None and declared.permission != "public" and declared.impersonated
        for method in sorted(route.methods or ())
    ]
    assert answering == [tuple(line.split()) for line in IN_SOMEBODY_S_NAME.strip().splitlines()]


def test_nothing_of_one_s_own_is_changed_in_somebody_s_name() -> None:
    own = [
        (method, route.path_format)
        for route in api_routes(ROUTERS)
        for declared in (declaration_of(route),)
        if declared is not None and declared.permission == "signed_in" and declared.impersonated
        for method in route.methods or ()
    ]
    assert {method for method, _ in own} == {"GET"}


def test_no_request_takes_a_thread() -> None:
    """The framework puts whatever is a plain function into one, which takes longer than what these functions do."""

    def called(dependant: Dependant) -> Iterator[Callable[..., Any] | None]:
        yield dependant.call
        for other in dependant.dependencies:
            yield from called(other)

    all_called = [call for route in api_routes([*ROUTERS, *PAGES]) for call in called(route.dependant)]
    assert len(all_called) > 500
    plain = {
        call for call in all_called if not iscoroutinefunction(call) and not iscoroutinefunction(type(call).__call__)
    }
    assert plain == set()
