"""The product's relay process, which tells what it waits for when it is asked.

python -m tests.faults.rig.relay
"""

from __future__ import annotations

import uvloop

from prog_broker import relay
from tests.faults.rig import stacks


async def main() -> None:
    stacks.on_request()
    await relay.run()


if __name__ == "__main__":
    uvloop.run(main())
