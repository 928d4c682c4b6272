"""The names under which the platform itself answers, as the settings say them. Edge and workers agree here."""

from __future__ import annotations

from urllib.parse import urlsplit

from prog_contracts.hosts import PlatformHosts
from prog_kit.settings import Settings


def hosts_of(settings: Settings) -> PlatformHosts:
    host = urlsplit(settings.public_url).hostname or "localhost"
    target = settings.custom_domain_target or host
    origins = {urlsplit(origin).hostname or host for origin in settings.passkey_origins}
    names = frozenset({host, target, *settings.platform_hosts, *origins})
    domain = settings.passkey_domain
    return PlatformHosts(settings.public_url, names, names if domain is None else names | {domain}, target)
