"""What the users domain refuses, with the codes that programs match."""

from __future__ import annotations

from collections.abc import Sequence

from prog_contracts.errors import Conflict, Denied, FieldError, Invalid, NotFound


def wrong_credentials() -> Denied:
    """One answer for an unknown address, a wrong password and a disabled account."""
    return Denied("The address or the password is wrong.", code="invalid_credentials")


def email_unverified() -> Denied:
    return Denied("Open the link in the verification mail first, or ask for a new one.", code="email_unverified")


def token_invalid() -> Invalid:
    return Invalid.field("token", "token_invalid", "This link is not valid any more; ask for a new one.")


def password_refused(problems: Sequence[FieldError]) -> Invalid:
    return Invalid(problems[0].message, fields=problems)


def password_too_common() -> Invalid:
    message = "This password is among those that are guessed first. Choose another: a short sentence is good."
    return Invalid.field("password", "too_common", message)


def password_breached() -> Invalid:
    message = "This password is known from a breach of another service, so it is tried first. Choose another."
    return Invalid.field("password", "breached", message)


def breaches_unknown() -> Invalid:
    message = "It cannot be checked at the moment whether this password is known from a breach. Try again in a minute."
    return Invalid.field("password", "breach_check_unavailable", message)


def already_verified() -> Conflict:
    return Conflict("This address is verified already; sign in.", code="already_verified")


def refresh_refused() -> Denied:
    return Denied("The session is over; sign in again.", code="session_ended")


def user_not_found() -> NotFound:
    return NotFound("There is no such user.", code="user_not_found")


def exported_just_now() -> Conflict:
    return Conflict("You took your data along just now. Try again in a minute.", code="exported_just_now")


def not_being_deleted() -> Conflict:
    return Conflict("This account is not to be deleted.", code="not_being_deleted")


def account_ending() -> Conflict:
    return Conflict("The grace period is over: the account is being deleted.", code="account_ending")


def account_exists() -> Conflict:
    return Conflict("The account is there: nobody is forgotten who has one.", code="account_exists")


def session_not_found() -> NotFound:
    return NotFound("There is no such session.", code="session_not_found")


def sign_in_again() -> Denied:
    """The session was not opened just now, or without the second factor that the person has."""
    return Denied("Sign in again first: this needs a sign-in of the last ten minutes.", code="fresh_sign_in_required")


def wrong_password(field: str) -> Denied:
    """For somebody who is signed in, so that there is nothing to hide but the password."""
    message = "This is not your password."
    return Denied(message, code="invalid_credentials", fields=[FieldError(field=field, code="wrong", message=message)])


def wrong_code() -> Denied:
    message = "This code is not good. Wait for the app's next one, and see that the clock of the device is right."
    return Denied(message, code="invalid_code", fields=[FieldError(field="code", code="invalid_code", message=message)])


def used_code() -> Denied:
    message = "This code was used before. Wait for the app's next one."
    return Denied(message, code="invalid_code", fields=[FieldError(field="code", code="code_used", message=message)])


def wrong_recovery_code() -> Denied:
    message = "This is none of your recovery codes, or it was used before."
    return Denied(message, code="invalid_code", fields=[FieldError(field="code", code="invalid_code", message=message)])


def wrong_passkey() -> Denied:
    """One answer for a passkey that nobody knows, one of somebody else, and one that did not sign."""
    return Denied("This passkey is not good here. Use another one, or another way.", code="invalid_passkey")


def challenge_over() -> Denied:
    return Denied("That took too long. Try again.", code="passkey_challenge_over")


def passkey_not_made() -> Invalid:
    message = "This passkey cannot be used: it does not ask who you are, or it is not for this address."
    return Invalid.field("credential", "passkey_not_usable", message)


def passkey_known() -> Conflict:
    return Conflict("This passkey is there already.", code="passkey_known")


def passkey_not_found() -> NotFound:
    return NotFound("There is no such passkey.", code="passkey_not_found")


def too_many_passkeys(limit: int) -> Conflict:
    return Conflict(f"An account has at most {limit} passkeys. Remove one first.", code="too_many_passkeys")


def sign_in_over() -> Denied:
    return Denied("This sign-in took too long, or too many codes were wrong. Begin again.", code="sign_in_over")


def second_factor_required() -> Denied:
    return Denied("Your password alone is not enough here: prove it with your second factor.", code="mfa_required")


def no_second_factor() -> NotFound:
    return NotFound("There is no second factor.", code="no_second_factor")


def no_enrolment() -> NotFound:
    return NotFound("There is no authenticator to confirm, or it took too long. Begin again.", code="no_enrolment")


def identity_too_old() -> Denied:
    return Denied("This sign-in took too long. Begin again.", code="sign_in_over")


def identity_opens_nothing() -> Denied:
    return Denied("You cannot be signed in with this account.", code="identity_refused")


def no_verified_address(title: str) -> Denied:
    message = f"{title} has verified no e-mail address of yours. Verify one there, or sign up with an address here."
    return Denied(message, code="identity_without_address")


def other_domain(title: str) -> Denied:
    message = f"{title} does not speak for this address: its domain is not proven."
    return Denied(message, code="identity_of_other_domain")


def identity_taken(title: str) -> Denied:
    return Denied(f"This {title} account is linked to an account here already.", code="identity_taken")


def address_differs(title: str, email: str) -> Denied:
    message = f"{title} has not verified {email} as yours, which is the address of your account here."
    return Denied(message, code="identity_of_other_address")


def not_your_identity(title: str) -> Denied:
    return Denied(f"This {title} account is not linked to yours.", code="identity_not_linked")


def identity_not_found() -> NotFound:
    return NotFound("There is no such linked account.", code="identity_not_found")


def last_way_in() -> Conflict:
    message = "This is your only way in. Set a password, or link another account, before you unlink it."
    return Conflict(message, code="last_way_in")


def staff_not_impersonated() -> Denied:
    return Denied("Nobody acts in the name of one of the platform's staff.", code="staff_not_impersonated")


def account_not_impersonated() -> Conflict:
    message = "This account is disabled or to be deleted: nobody acts in its name."
    return Conflict(message, code="account_not_impersonated")


def impersonation_exists() -> Conflict:
    return Conflict("This impersonation is there already.", code="impersonation_exists")


def impersonation_not_found() -> NotFound:
    return NotFound("There is no such impersonation.", code="impersonation_not_found")


def reason_needed() -> Invalid:
    return Invalid.field("reason", "required", "Say why, in 500 characters at most: it is recorded.")


def not_permitted() -> Denied:
    return Denied("You may not do this for somebody else.", code="not_permitted")


def unreadable_secret(field: str) -> Invalid:
    """The sender and this process have no key in common, or the value was sealed for another purpose."""
    return Invalid.field(field, "unreadable_secret", "The sealed value cannot be opened.")


def client_not_found() -> NotFound:
    return NotFound("There is no such client.", code="client_not_found")


def client_exists() -> Conflict:
    return Conflict("This client is there already.", code="client_exists")


def client_is_public() -> Conflict:
    return Conflict("This client is a public one: it has no secret.", code="client_is_public")


def too_many_clients(limit: int) -> Conflict:
    return Conflict(f"A tenant has at most {limit} clients at a time. Remove one first.", code="too_many_clients")


def redirect_uri_unknown() -> Invalid:
    return Invalid("The client is not registered with this address.", code="redirect_uri_unknown")


def scope_refused() -> Denied:
    return Denied("The client may not ask for all of these scopes.", code="invalid_scope")


def grant_not_allowed() -> Denied:
    return Denied("The client is not registered for this grant.", code="unauthorized_client")


def consent_needed() -> Denied:
    return Denied("The person has not agreed to this yet.", code="consent_required")


def consent_not_found() -> NotFound:
    return NotFound("This app has nothing of you.", code="consent_not_found")


def invalid_grant() -> Denied:
    """One answer for a code or token that is made up, used before, too old, another client's, or without its proof."""
    return Denied("The code or token is not good.", code="invalid_grant")


def api_key_not_found() -> NotFound:
    return NotFound("There is no such API key.", code="api_key_not_found")


def api_key_exists() -> Conflict:
    return Conflict("This API key is there already.", code="api_key_exists")


def api_key_ended() -> Conflict:
    return Conflict("This API key is not good any more. Make a new one.", code="api_key_ended")


def api_key_rolled() -> Conflict:
    return Conflict("This API key has a successor already: roll that one, or make a new key.", code="api_key_rolled")
