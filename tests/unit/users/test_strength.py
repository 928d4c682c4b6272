"""Which new passwords are refused, and how the service of breached ones is asked."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from prog_workers.users import rules, strength
from prog_workers.users.strength import BreachedPasswords, ServiceAway, is_guessable

ABOUT = ("ada.lovelace@engines.example", "Ada Lovelace")
GOOD = ("correct horse battery staple", "x8#kQ2!z", "mot de passe café", "пароль не для всех", "🐎🔋 stapled 🧷 once")


def test_check_03_the_three_thousand_most_common_passwords_are_refused() -> None:
    common = [word for word in FREQUENCY_LISTS["passwords"] if len(word) >= rules.PASSWORD_MIN_LENGTH][:3000]
    assert len(common) == 3000
    assert [word for word in common if not is_guessable(word, ABOUT)] == []


@pytest.mark.parametrize(
    "password",
    [
        "Password1!", "P@ssw0rd", "qwertyuiop123", "abcdefgh", "iloveyou2", "hunter2hunter2", "password" * 20,
        "lovelace1815", "ada.lovelace1", "Engines1", "prognetwork1", "a" * 60, "1234567890" * 10, "kV9 " * 9,
    ],
)  # fmt: skip
def test_check_03_what_is_guessed_first_is_refused(password: str) -> None:
    assert is_guessable(password, ABOUT)


@pytest.mark.parametrize("password", [*GOOD, "a" * 30 + "kV9 never in a list", "kV9 never in a list" + "a" * 30])
def test_what_is_hard_to_guess_is_taken(password: str) -> None:
    assert not is_guessable(password, ABOUT)


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=8, max_size=1024), st.text(max_size=100))
def test_no_text_breaks_the_estimate(password: str, name: str) -> None:
    assert is_guessable(password, ("ada@example.com", name)) in (True, False)


def test_the_estimate_sees_no_more_than_it_can_do_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def estimate(part: str, user_inputs: list[str]) -> dict[str, int]:
        seen.append(len(part))
        return {"score": 4}

    monkeypatch.setattr(strength, "zxcvbn", estimate)
    is_guessable("4@8({[<369&|1!$05+7%2" * 48, ABOUT)
    assert seen
    assert max(seen) <= 20


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns after a few microseconds."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hasty_threads")
def test_people_who_choose_at_once_are_each_judged_by_their_own_name() -> None:
    names = ("Xqvzruth Wkjpolm", "Bnyfgdex Tzcvhuq")
    own = {name: (name, ("someone@example.com", name)) for name in names}
    assert all(is_guessable(*own[name]) and not is_guessable(name, ABOUT) for name in names)
    with ThreadPoolExecutor(2) as threads:
        verdicts = list(threads.map(lambda turn: is_guessable(*own[names[turn % 2]]), range(200)))
    assert verdicts == [True] * 200


@dataclass
class Service:
    """A range service; `answer` is its body, as `status` has it."""

    port: int = 0
    status: str = "200 OK"
    answer: bytes = b""
    requests: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/range/"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        head = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.answer)}\r\nLocation: /range/\r\n\r\n"
        writer.write(head.encode() + self.answer)
        writer.close()


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[Service]:
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    async with server:
        yield service


def suffix_of(password: str) -> str:
    return hashlib.sha1(password.encode()).hexdigest().upper()[5:]


async def test_check_03_a_breached_password_is_found_and_only_five_digits_leave() -> None:
    lines = f"0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n{suffix_of(GOOD[0])}:2\r\n"
    async with serving(Service(answer=lines.encode())) as service:
        assert await BreachedPasswords(service.url).has(GOOD[0])
        assert not await BreachedPasswords(service.url).has(GOOD[1])
    digest = hashlib.sha1(GOOD[0].encode()).hexdigest().upper()
    assert service.requests[0].startswith(f"GET /range/{digest[:5]} HTTP/1.1\r\n")
    assert digest[5:].lower() not in service.requests[0].lower()
    assert "add-padding: true" in service.requests[0].lower()


async def test_a_line_that_pads_the_answer_names_no_password() -> None:
    async with serving(Service(answer=f"{suffix_of(GOOD[0])}:0\r\n".encode())) as service:
        assert not await BreachedPasswords(service.url).has(GOOD[0])


@pytest.mark.parametrize("status", ["500 Away", "302 Found", "204 No Content", "429 Slow down", "200 OK", "refused"])
async def test_check_03_what_an_outage_does_is_a_setting(status: str) -> None:
    """A good status stands for an answer without an end."""
    endless = b"0" * (strength.MAX_ANSWER_BYTES + 1) if status == "200 OK" else b""
    async with serving(Service(status=status, answer=endless)) as service:
        url = "http://127.0.0.1:1/range/" if status == "refused" else service.url
        assert not await BreachedPasswords(url, "accept").has(GOOD[0])
        with pytest.raises(ServiceAway):
            await BreachedPasswords(url, "refuse").has(GOOD[0])


async def test_check_03_a_service_that_says_nothing_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strength, "TIMEOUT_SECONDS", 0.05)
    silent: list[asyncio.StreamWriter] = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.append(writer)

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/range/"
        with pytest.raises(ServiceAway):
            await BreachedPasswords(url, "refuse").has(GOOD[0])
        for writer in silent:
            writer.close()
