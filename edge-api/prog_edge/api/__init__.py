"""The platform API: one router a concept, request and response models beside it.

A route declares what its caller needs (`prog_edge.access`), reads through a domain's queries or sends one command
(`prog_edge.writes`), and answers with a model. Nothing else happens in a route.
"""

from typing import Final

from fastapi import APIRouter

from prog_edge.api import (
    activity,
    analytics,
    api_keys,
    audit,
    auth,
    catalogue,
    configuration,
    customers,
    dead_letters,
    discovery,
    ending,
    events,
    exports,
    health,
    identities,
    invoices,
    keys,
    leads,
    mail,
    members,
    monitoring,
    oauth,
    oauth_clients,
    operations,
    passkeys,
    people,
    publishing,
    reference,
    replays,
    schemas,
    second_factors,
    sign_on,
    stories,
    subscriptions,
    tenants,
    topics,
    usage,
)

ROUTERS: Final[list[APIRouter]] = [
    module.router
    for module in (
        auth,
        keys,
        discovery,
        oauth,
        people,
        activity,
        ending,
        exports,
        second_factors,
        identities,
        passkeys,
        tenants,
        usage,
        configuration,
        members,
        sign_on,
        api_keys,
        oauth_clients,
        catalogue,
        customers,
        subscriptions,
        invoices,
        events,
        publishing,
        schemas,
        stories,
        audit,
        mail,
        operations,
        dead_letters,
        replays,
        monitoring,
        topics,
        analytics,
        leads,
        health,
        reference,
    )
]
