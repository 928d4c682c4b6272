"""What is remembered, for how long, and what never is."""

from __future__ import annotations

from prog_edge.directory import Remembered


class Source:
    def __init__(self) -> None:
        self.values: dict[str, str] = {"a": "1"}
        self.asked: list[str] = []
        self.now = 0.0

    async def look_up(self, key: str) -> str | None:
        self.asked.append(key)
        return self.values.get(key)

    def remembered(self, limit: int = 10) -> Remembered[str]:
        return Remembered(self.look_up, fresh_seconds=5, limit=limit, clock=lambda: self.now)


async def test_a_value_is_asked_for_once_while_it_is_fresh() -> None:
    source = Source()
    remembered = source.remembered()
    assert [await remembered.get("a") for _ in range(3)] == ["1", "1", "1"]
    assert source.asked == ["a"]
    source.values["a"] = "2"
    source.now = 5.0
    assert await remembered.get("a") == "2"


async def test_what_was_not_found_is_asked_for_again() -> None:
    source = Source()
    remembered = source.remembered()
    assert await remembered.get("b") is None
    source.values["b"] = "here now"
    assert await remembered.get("b") == "here now"


async def test_a_look_anew_and_a_forgotten_value_go_to_the_source() -> None:
    source = Source()
    remembered = source.remembered()
    await remembered.get("a")
    del source.values["a"]
    assert await remembered.get("a", anew=True) is None
    source.values["a"] = "3"
    assert await remembered.get("a") == "3"
    source.values["a"] = "4"
    remembered.forget("a")
    assert await remembered.get("a") == "4"


async def test_no_more_than_the_limit_is_kept() -> None:
    source = Source()
    source.values = {str(number): str(number) for number in range(5)}
    remembered = source.remembered(limit=3)
    for key in source.values:
        await remembered.get(key)
    source.asked.clear()
    await remembered.get("4")
    await remembered.get("0")
    assert source.asked == ["0"]
