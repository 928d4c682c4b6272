"""`tools`: the pinned programs and schemas. Where they were not fetched yet, a test says how, and CI fails."""

import subprocess
from pathlib import Path

import pytest

from tests.deploy.toolbox import ROOT, Toolbox


@pytest.fixture(scope="session")
def tools() -> Toolbox:
    script = [str(ROOT / "infra/setup/deploy.sh"), "--find"]
    done = subprocess.run(["bash", *script], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        pytest.skip("the deployment's tools are not here: run `task deploy:tools` (it takes some minutes, once)")
    return Toolbox(Path(done.stdout.strip()))
