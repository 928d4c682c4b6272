"""What the provider says of itself (RFC 8414; OpenID Connect Discovery, section 3)."""

from __future__ import annotations

from typing import Any, Final

from prog_contracts.oauth import Grant, PersonScope
from prog_contracts.permissions import SCOPES

AUTHORIZE: Final = "/oauth2/authorize"
TOKEN: Final = "/oauth2/token"
INTROSPECT: Final = "/oauth2/introspect"
REVOKE: Final = "/oauth2/revoke"
USERINFO: Final = "/userinfo"
END_SESSION: Final = "/oauth2/logout"
JWKS: Final = "/.well-known/jwks.json"

GRANTS: Final[tuple[Grant, ...]] = ("authorization_code", "refresh_token", "client_credentials")
PERSON_SCOPES: Final[tuple[PersonScope, ...]] = ("openid", "profile", "email", "offline_access")
PROOFS: Final = ("client_secret_basic", "client_secret_post")


def metadata(issuer: str) -> dict[str, Any]:
    """The document, for the address that is the issuer."""
    return {
        "issuer": issuer,
        "authorization_endpoint": issuer + AUTHORIZE,
        "token_endpoint": issuer + TOKEN,
        "userinfo_endpoint": issuer + USERINFO,
        "jwks_uri": issuer + JWKS,
        "end_session_endpoint": issuer + END_SESSION,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "introspection_endpoint": issuer + INTROSPECT,
        "revocation_endpoint": issuer + REVOKE,
        "service_documentation": f"{issuer}/docs",
        "scopes_supported": [*PERSON_SCOPES, *SCOPES],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANTS),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": [*PROOFS, "none"],
        "introspection_endpoint_auth_methods_supported": list(PROOFS),
        "revocation_endpoint_auth_methods_supported": [*PROOFS, "none"],
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": [
            "iss", "sub", "aud", "azp", "exp", "iat", "auth_time", "nonce", "amr", "at_hash", "sid",
            "name", "picture", "locale", "zoneinfo", "updated_at", "email", "email_verified",
        ],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "authorization_response_iss_parameter_supported": True,
    }  # fmt: skip
