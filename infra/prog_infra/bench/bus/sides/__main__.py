"""A contestant's process: takes orders on standard input, answers on standard output, one JSON object a line each.

    python -m prog_infra.bench.bus.sides NAME

Orders are `arm` (be ready, hold the gun), `run` (so many messages, on your marks) and `profile` (the same, sampled).
The time is taken here, from the order until the last message is acknowledged, or published.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from dataclasses import asdict
from importlib import import_module
from typing import Any, Final, TextIO

import uvloop

from prog_infra.bench.bus.sampling import Sampler
from prog_infra.bench.bus.side import Side, Tally
from prog_kit import logging
from prog_kit.settings import Settings

SIDES: Final = {
    "publish-ours": "publish:Ours",
    "publish-raw": "publish:Raw",
    "publish-body": "publish:BodyAlone",
    "consume-ours": "consume:Ours",
    "consume-heir": "consume:Heir",
    "consume-raw": "consume:Raw",
    "consume-faststream": "shipped:FastStream",
    "consume-faststream-frozen": "shipped:Frozen",
    "inbox-ours": "inbox:Ours",
    "inbox-raw": "inbox:Raw",
    "relay-ours": "relay:Ours",
    "relay-raw": "relay:Raw",
    "share-alone": "sharing:Alone",
    "share-half": "sharing:Half",
    "ask-ours": "asking:AskOurs",
    "ask-bare": "asking:AskBare",
    "answer-ours": "asking:AnswerOurs",
    "answer-bare": "asking:AnswerBare",
    "kafka-publish-ours": "kafka:PublishOurs",
    "kafka-publish-raw": "kafka:PublishRaw",
    "kafka-consume-ours": "kafka:ConsumeOurs",
    "kafka-consume-raw": "kafka:ConsumeRaw",
}


def load(name: str) -> type[Side]:
    module, _, cls = SIDES[name].partition(":")
    found: type[Side] = getattr(import_module(f"prog_infra.bench.bus.sides.{module}"), cls)
    return found


async def main(name: str, answers: TextIO) -> None:
    settings = Settings.load()
    logging.configure(settings.log_level, settings.process_name)
    side = load(name)(settings)
    await side.open()
    gc.collect()
    if not side.as_shipped:
        gc.freeze()  # as every process of the platform does
    _say(answers, {"ready": name})
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        gc.collect()
        if order["do"] == "arm":
            await side.arm(order["messages"])
            _say(answers, {})
        else:
            _say(answers, await _run(side, order["messages"], sampled=order["do"] == "profile"))
    await side.close()


async def _run(side: Side, messages: int, *, sampled: bool) -> dict[str, Any]:
    sampler = Sampler()
    if sampled:
        sampler.start()
    began, began_cpu = time.perf_counter(), time.process_time()
    counted = await side.run(messages)
    sampler.stop()
    took, took_cpu = time.perf_counter() - (counted.began or began), time.process_time() - began_cpu
    answer = asdict(Tally(counted.messages, counted.checksum, took, took_cpu, counted.milliseconds))
    await side.rest()
    if sampled:
        answer["profile"] = sampler.report(messages, took_cpu)
    return answer


def _say(answers: TextIO, told: dict[str, Any]) -> None:
    answers.write(json.dumps(told) + "\n")
    answers.flush()


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what anybody prints goes to the log
        uvloop.run(main(sys.argv[1], answers))
