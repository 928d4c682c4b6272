"""The migrations that this code brings, as files."""

from pathlib import Path

import pytest

from prog_infra import migrations


def test_the_carriers_schema_comes_first_and_every_owners_numbers_run_on() -> None:
    known = migrations.known()
    owners = list(dict.fromkeys(migration.owner for migration in known))
    assert owners == [owner for owner in migrations.OWNERS if owner in owners]
    assert owners[0] == "bus"
    for owner in owners:
        numbers = [migration.number for migration in known if migration.owner == owner]
        assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("names", [["0002_second.sql"], ["0001_First.sql"], ["first.sql"]])
def test_a_file_named_wrongly_is_refused(names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "users" / "migrations"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("SELECT 1")
    monkeypatch.setattr(migrations, "files", lambda _: tmp_path)
    with pytest.raises(ValueError, match=r"migrations (are named|of users are not numbered)"):
        list(migrations._of("users"))


def test_no_migration_asks_the_database_for_business_time() -> None:
    for migration in migrations.known():
        assert "now()" not in migration.sql.lower(), migration
