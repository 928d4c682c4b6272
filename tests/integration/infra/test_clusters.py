"""Copies of one cluster of PostgreSQL, for tests to which its making does not matter."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from prog_infra import migrations
from prog_infra.local.platform import DATABASE
from prog_infra.servers import Postgres
from tests.clusters import FAST, Clusters


async def test_a_copy_has_the_schema_of_today_and_is_nobody_else_s(tmp_path: Path, clusters: Clusters) -> None:
    for number in range(2):
        directory = tmp_path / f"{number}/postgres"
        clusters.copy_to(directory)
        server = Postgres(directory, settings=FAST)
        with server.running(tmp_path / f"{number}/log"):
            url = server.url(DATABASE)
            assert await migrations.migrate(url) == []
            connection = await migrations.connect(url)
            await connection.execute("CREATE TABLE public.mine ()")
            await connection.close()


def test_those_who_ask_at_once_share_one(tmp_path: Path) -> None:
    copies = [tmp_path / f"copy-{number}" for number in range(2)]
    with ThreadPoolExecutor(len(copies)) as executor:
        asking = [executor.submit(Clusters(tmp_path / "clusters").copy_to, to) for to in copies]
        for asked in asking:
            asked.result()
    controls = {(to / "global/pg_control").read_bytes() for to in copies}
    assert len(controls) == 1


def test_no_cluster_is_copied_over_another_one(tmp_path: Path, clusters: Clusters) -> None:
    with pytest.raises(FileExistsError):
        clusters.copy_to(tmp_path)
    assert not list(tmp_path.iterdir())
