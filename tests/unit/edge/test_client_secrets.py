"""Within whose rights an OAuth client calls the API, by the secret that it shows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from prog_edge.oauth.clients import new_secret, shown_by
from prog_workers.users.queries.clients import ClientRow

NEWEST, BEFORE = new_secret(), new_secret()
AT = datetime(2020, 1, 1, tzinfo=UTC)
CLIENT = ClientRow(
    client_id="client_1",
    tenant_id="tenant_1",
    name="Exporter",
    secret_digest=NEWEST[1],
    secret_hint=NEWEST[2],
    previous_secret_digest=BEFORE[1],
    previous_secret_until=datetime.now(UTC) + timedelta(hours=1),
    redirect_uris=(),
    post_logout_redirect_uris=(),
    backchannel_logout_uri=None,
    grants=("client_credentials",),
    scopes=("event.read",),
    created_by="user_ada",
    held_by="user_bob",
    previous_held_by="user_ada",
    created_at=AT,
    updated_at=AT,
)


def holder(client: ClientRow, secret: str) -> str | None:
    shown = shown_by(client, secret)
    assert shown is not None
    return shown.held_by


def test_check_17_each_secret_stands_for_whoever_held_that_one() -> None:
    assert holder(CLIENT, NEWEST[0]) == "user_bob"
    assert holder(CLIENT, BEFORE[0]) == "user_ada"
    assert holder(replace(CLIENT, previous_held_by=None), BEFORE[0]) is None, "who has left has no rights to give"


def test_what_is_no_secret_of_the_client_or_is_one_no_more_shows_nothing() -> None:
    over = replace(CLIENT, previous_secret_until=AT)
    public = replace(CLIENT, secret_digest=None, previous_secret_digest=None, previous_secret_until=None)
    for client, secret in ((CLIENT, new_secret()[0]), (CLIENT, "x"), (over, BEFORE[0]), (public, NEWEST[0])):
        assert shown_by(client, secret) is None
