"""A DNS server on loopback with the records that a test puts there, over UDP, as RFC 1035 has it."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset


class DnsServer(asyncio.DatagramProtocol):
    """`records` are texts by name, `aliases` what a name stands for, `addresses` those of a name. `silent` answers
    nobody, `broken` answers everybody that it cannot (SERVFAIL)."""

    def __init__(self) -> None:
        self.records: dict[str, list[str]] = {}
        self.aliases: dict[str, str] = {}
        self.addresses: dict[str, list[str]] = {}
        self.silent = False
        self.broken = False
        self.asked: list[str] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._transport.get_extra_info('sockname')[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        query = dns.message.from_wire(data)
        self.asked.append(_text(query.question[0].name))
        if not self.silent:
            self._transport.sendto(self._answer(query).to_wire(), addr)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        question = query.question[0]
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        if self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
            return answer
        name = question.name
        while question.rdtype != dns.rdatatype.CNAME and (alias := self.aliases.get(_text(name))) is not None:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", f"{alias}."))
            name = dns.name.from_text(alias)
        known = any(_text(name) in kind for kind in (self.records, self.aliases, self.addresses))
        if not known:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.TXT and (texts := self.records.get(_text(name))):
            quoted = [" ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200)) for text in texts]
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *quoted))
        elif question.rdtype == dns.rdatatype.A and (addresses := self.addresses.get(_text(name))):
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "A", *addresses))
        return answer


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()
