"""How people want dates, times and amounts written in mails to them, as the users domain told it."""

from __future__ import annotations

from prog_broker.transaction import Transaction


async def wishes_of(tx: Transaction, address: str) -> dict[str, str]:
    """`locale` and `time_zone` of whoever has this address, as far as they have said."""
    row = await tx.fetchrow("SELECT locale, time_zone FROM email.wishes WHERE address = $1", address)
    return {} if row is None else {name: value for name, value in row.items() if value is not None}


async def put_wishes(tx: Transaction, address: str, *, locale: str | None, time_zone: str | None) -> None:
    """Keeps them; for somebody who wishes nothing any more, nothing."""
    if locale is None and time_zone is None:
        await tx.execute("DELETE FROM email.wishes WHERE address = $1", address)
        return
    await tx.execute(
        "INSERT INTO email.wishes (address, locale, time_zone) VALUES ($1, $2, $3)"
        " ON CONFLICT (address) DO UPDATE SET locale = excluded.locale, time_zone = excluded.time_zone",
        address,
        locale,
        time_zone,
    )
