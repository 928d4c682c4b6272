"""Tells a client what it has left of its quota, in the form that a setting chooses.

`draft` is draft-ietf-httpapi-ratelimit-headers (the form with structured fields, since draft 8): the policy, what is
left (`r`), and the seconds (`t`) until there is more. `x` is the older X-RateLimit form; its reset is in seconds too.
"""

from __future__ import annotations

from typing import Literal

from prog_edge.limits.rates import Quota

Form = Literal["draft", "x", "none"]


def rate_headers(quota: Quota, form: Form) -> list[tuple[bytes, bytes]]:
    policy = quota.policy
    if form == "x":
        return [
            (b"x-ratelimit-limit", b"%d" % policy.quota),
            (b"x-ratelimit-remaining", b"%d" % quota.remaining),
            (b"x-ratelimit-reset", b"%d" % quota.more_in_seconds),
        ]
    name = policy.name.encode()
    return [
        (b"ratelimit-policy", b'"%b";q=%d;w=%d' % (name, policy.quota, policy.window_seconds)),
        (b"ratelimit", b'"%b";r=%d;t=%d' % (name, quota.remaining, quota.more_in_seconds)),
    ]
