"""What the tenants domain refuses, with the codes that programs match."""

from __future__ import annotations

from prog_contracts.custom_domains import CustomDomainProblem
from prog_contracts.errors import Conflict, Denied, Invalid, NotFound


def tenant_not_found() -> NotFound:
    return NotFound("There is no such tenant.", code="tenant_not_found")


def wrong_tenant() -> Invalid:
    """The envelope and the body disagree: a fault of whoever sent the command."""
    return Invalid.field("tenant_id", "wrong_tenant", "The command names another tenant than it was sent for.")


def not_permitted() -> Denied:
    return Denied("Your role in this tenant does not allow this.", code="not_permitted")


def tenant_exists() -> Conflict:
    return Conflict("A tenant with this id exists.", code="tenant_exists")


def too_many_tenants(limit: int) -> Conflict:
    return Conflict(
        f"You have {limit} tenants, as many as one person may have here. Delete one that is needed no more (it counts"
        " until that is done), make somebody else its owner, or ask whoever runs this platform.",
        code="too_many_tenants",
    )


def platform_tenant() -> Denied:
    return Denied("The platform's own tenant is neither suspended nor deleted.", code="platform_tenant")


def customers_alone() -> Denied:
    return Denied("The platform's own tenant has no sign-on, directory or export of its own.", code="platform_tenant")


def wrong_status(done: str, status: str) -> Conflict:
    return Conflict(f"A tenant that is {status} cannot be {done}.", code="wrong_status")


def role_too_high() -> Denied:
    return Denied("You cannot give a role with more rights than your own.", code="role_too_high")


def rights_too_high() -> Denied:
    return Denied("This person has more rights than you; ask somebody who has as many.", code="role_too_high")


def member_not_found() -> NotFound:
    return NotFound("This person is no member of the tenant.", code="member_not_found")


def last_owner() -> Conflict:
    return Conflict("A tenant needs an owner: make somebody else an owner first.", code="last_owner")


def already_member() -> Conflict:
    return Conflict("This person is a member already.", code="already_member")


def invitation_unknown() -> NotFound:
    return NotFound("This invitation does not exist or is not open any more.", code="invitation_invalid")


def invited_often(limit: int) -> Conflict:
    return Conflict(
        f"This address has had {limit} invitations from you within a day. Send the next one tomorrow.",
        code="invited_often",
    )


def invitation_expired() -> Conflict:
    return Conflict("This invitation has expired; ask for a new one.", code="invitation_expired")


def invitation_for_another() -> Denied:
    return Denied(
        "This invitation was sent to another address; sign in with that one.", code="invitation_email_mismatch"
    )


def platform_clock() -> Denied:
    return Denied("The platform's own clock cannot be moved.", code="platform_clock")


def clock_exists() -> Conflict:
    return Conflict("The tenant has a test clock already; advance it.", code="clock_exists")


def clock_missing() -> Conflict:
    return Conflict("The tenant runs on the wall clock; make it a test clock first.", code="clock_missing")


def clock_advancing() -> Conflict:
    return Conflict("The clock is being advanced; wait until that is done.", code="clock_advancing")


def no_sign_on() -> NotFound:
    return NotFound("The tenant has no sign-on.", code="no_sign_on")


def nothing_to_enforce() -> Conflict:
    return Conflict("Prove a domain first: sign-on is enforced for its addresses.", code="no_proven_domain")


def client_secret_needed() -> Invalid:
    return Invalid.field("client_secret", "required", "Enter the client secret that this provider gave you.")


def unreadable_client_secret() -> Invalid:
    """It was sealed for another tenant, or by somebody who has no key in common with this process."""
    return Invalid.field("client_secret", "unreadable_secret", "The sealed value cannot be opened.")


def domain_not_claimed() -> NotFound:
    return NotFound("The tenant has not claimed this domain.", code="domain_not_claimed")


def domain_not_proven(reason: str) -> Conflict:
    if reason == "unanswered":
        return Conflict("The domain's DNS does not answer. Try again in a minute.", code="dns_unanswered")
    return Conflict("The record is not there yet. A new one can take an hour to be seen.", code="dns_record_missing")


def domain_taken() -> Conflict:
    return Conflict("Another tenant has proven this domain. Ask whoever runs this platform.", code="domain_taken")


def too_many_domains(limit: int) -> Conflict:
    return Conflict(f"A tenant has at most {limit} domains. Release one first.", code="too_many_domains")


def custom_domain_not_claimed() -> NotFound:
    return NotFound("The tenant has not claimed this domain.", code="custom_domain_not_claimed")


def custom_domain_not_proven(problem: CustomDomainProblem, record: str) -> Conflict:
    """With a code of its own for each way in which the DNS says no, and what to do about it."""
    message, code = {
        "timed_out": ("The domain's DNS does not answer. Try again in a minute.", "dns_unanswered"),
        "server_failed": (
            "The domain's DNS answers with an error. Look whether its zone is in order, its DNSSEC too, and try again.",
            "dns_failed",
        ),
        "record_different": (
            f"{record} has a TXT record, and it says something else. Set the value that is shown.",
            "dns_record_different",
        ),
        "no_such_name": (
            f"There is no name {record} in the DNS yet. A new record can take an hour to be seen.",
            "dns_record_missing",
        ),
    }.get(problem, (f"{record} has no TXT record yet. A new one can take an hour to be seen.", "dns_record_missing"))
    return Conflict(message, code=code)


def custom_domain_taken() -> Conflict:
    return Conflict(
        "Another tenant has proven this domain, and keeps it until its record is gone. If it is yours, remove the"
        " record of that tenant from its DNS, or ask whoever runs this platform.",
        code="custom_domain_taken",
    )


def export_running() -> Conflict:
    return Conflict("An export is being made. Wait for it.", code="export_running")


def tenant_exported_just_now() -> Conflict:
    return Conflict("An export was made just now. Fetch it, or make another in ten minutes.", code="exported_just_now")


def export_too_large() -> Conflict:
    return Conflict(
        "The last export came to more than one may have here, and was ended. Ask whoever runs this platform to allow"
        " more, and try again in ten minutes.",
        code="export_too_large",
    )


def export_exists() -> Conflict:
    return Conflict("There is an export with this id.", code="export_exists")


def export_not_ready() -> Conflict:
    return Conflict("This export is not ready, or was deleted.", code="export_not_ready")


def version_mismatch(version: int) -> Conflict:
    return Conflict(
        f"The configuration has changed meanwhile: it is at version {version}. Look at it, and try again.",
        code="version_mismatch",
    )


def configuration_version_unknown() -> NotFound:
    return NotFound("The configuration never had this version.", code="config_version_not_found")


def too_many_logos(limit: int) -> Conflict:
    return Conflict(f"A tenant keeps {limit} logos, those of earlier versions among them.", code="too_many_logos")


def entry_not_found() -> NotFound:
    return NotFound("There is no such entry in the directory.", code="entry_not_found")


def entry_taken(attribute: str) -> Conflict:
    return Conflict(f"Another entry of the directory has this {attribute}.", code="uniqueness")


def entry_changed() -> Conflict:
    return Conflict("The entry has changed since: read it again.", code="version_mismatch")


def unknown_group_member() -> Invalid:
    return Invalid("A member of a group is a user of the same directory.", code="invalid_value")
