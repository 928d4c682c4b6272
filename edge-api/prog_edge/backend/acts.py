"""What an entry of the audit trail tells, in words for the person whom it is about."""

from __future__ import annotations

from typing import Final

ACTORS: Final = {
    "you": "you",
    "operator": "an operator of the platform",
    "impersonator": "an operator of the platform, in your name",
    "somebody": "somebody else",
    "system": "the platform",
    "nobody": "somebody who was not signed in",
}

_ACTS: Final = {
    "users.user_authenticated": "Signed in",
    "users.second_factor_asked": "Password or link accepted, second step asked for",
    "users.session_ended": "Session ended",
    "users.other_sessions_ended": "Signed out everywhere else",
    "users.user_created": "Account made",
    "users.user_updated": "Profile changed",
    "users.email_verified": "Address verified",
    "users.password_changed": "Password changed",
    "users.second_factor_changed": "Two-step verification changed",
    "users.second_factor_guesses_refused": "Many wrong codes of the second step",
    "users.signing_key_rotated": "Key that signs tokens replaced",
    "users.step_up_denied": "Something that needs a fresh sign-in",
    "users.user_deletion_requested": "Deletion of the account asked for",
    "users.user_deletion_stopped": "Deletion of the account stopped",
    "users.user_restored": "Account kept",
    "users.impersonation_began": "Support began to act in your name",
    "users.impersonation_ended": "Support stopped acting in your name",
    "tenants.member_impersonation_began": "A tenant was told that support acts in your name",
    "tenants.member_impersonation_ended": "A tenant was told that support stopped acting in your name",
    "tenants.tenant_created": "Tenant made",
    "tenants.member_joined": "Joined a tenant",
    "tenants.member_removed": "Left a tenant",
    "tenants.member_role_changed": "Role in a tenant changed",
    "tenants.member_invited": "Somebody invited",
}


def in_words(action: str) -> str:
    """`users.password_changed` as `Password changed`; an action without words of its own by its name."""
    return _ACTS.get(action) or action.rpartition(".")[2].replace("_", " ").capitalize()
