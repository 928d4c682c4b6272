"""Settings: read from the environment, checked at start, told as one message when something is wrong.

Each setting `PROG_X` may come from a file named in `PROG_X_FILE` (as container platforms mount secrets), and a value
may refer to other variables as `${VAR}`. `Settings.load()` collects every problem before it complains.
"""

from __future__ import annotations

import difflib
import os
import re
import secrets
import socket
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticUndefined

from prog_kit.identity_providers import IdentityProvider, parsed

_TEMPLATE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HOST_NAME: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")
_ORIGIN: Final = re.compile(r"https?://[a-z0-9.\-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")
"""As browsers send it: in lower case, and without a slash at the end."""
_PREFIX: Final = "PROG_"
_TOOLS: Final = ("PROG_TEST_", "PROG_FAULTS_", "PROG_BENCH_", "PROG_CHROMIUM")
_REDIS_SCHEMES: Final = ("redis://", "rediss://", "unix://")
_DEVELOPMENT_SECRETS: Final = ("change-me", "secret", "development")

PRIVATE_NETWORKS: Final = (
    "127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
    "fc00::/7", "fe80::/10",
)  # fmt: skip
"""What no client on the internet has as its address."""

TENANTS_PER_PERSON: Final = 20
"""More than people who do their own business ever need, and few enough that nobody fills a platform with them."""

TENANT_EXPORT_MIB: Final = 10_240

Environment = Literal["development", "test", "production"]
PasswordHashing = Literal["owasp", "rfc9106"]


class SettingsError(Exception):
    """The settings cannot be used. `problems` has one line each, with the remedy."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("The settings cannot be used:\n" + "\n".join(f"  - {line}" for line in problems))


def _own_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class Settings(BaseModel):
    """All settings. Field `x_y` is the variable `PROG_X_Y`; descriptions are what the documentation shows."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    env: Environment = Field("development", description="development, test or production; production is strict")
    database_url: str = Field(description="PostgreSQL 17 or newer: postgresql://user:password@host/database")
    database_replica_url: str | None = Field(None, description="a read replica for queries that may lag")
    database_pool_size: int = Field(8, ge=1, le=200, description="connections per role and process, at most")
    redis_url: str = Field(description="Redis 7.2 or Valkey 8 or newer: redis://host:6379/0 or unix:///path?db=0")
    broker_url: str | None = Field(
        None, description="redis://… or kafka://host:9092,host:9092; PROG_REDIS_URL by default"
    )
    kafka_topic_prefix: str = Field(
        "", description="before every Kafka topic and group, where platforms share a cluster"
    )
    kafka_replication: int = Field(
        0,
        ge=0,
        le=9,
        description="replicas of the Kafka topics that `prog topics sync` makes; 0 leaves it to the cluster",
    )
    kafka_retention_hours: int = Field(
        168,
        ge=1,
        description="how long new Kafka topics keep messages, handled or not; dead letters twice that",
    )
    redis_retention_hours: int = Field(
        0, ge=0, description="how long streams keep what every group has handled; 0: commands 24, events 72, dead 336"
    )
    valkey_fsync: Literal["everysec", "always", "no"] = Field(
        "everysec", description="when the Valkey of `prog up` writes its append-only file to the disk"
    )
    public_url: str = Field("http://127.0.0.1:8000", description="the address that people and mail links use")
    platform_hosts: tuple[str, ...] = Field(
        (),
        description="further names at which the platform itself answers, such as api.example.com; addresses, names of"
        " one label and names of private networks need not be listed",
    )
    custom_domain_target: str | None = Field(
        None,
        pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*$",
        description="the name to which tenants point their custom domains by a CNAME; by default the host of"
        " PROG_PUBLIC_URL",
    )
    passkey_domain: str | None = Field(
        None,
        pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*$",
        description="whose passkeys are: the host of PROG_PUBLIC_URL, or a domain above it that all hosts share;"
        " those made before a change are lost",
    )
    passkey_origins: tuple[str, ...] = Field(
        (), description="further addresses whose pages use passkeys, such as https://id.example.com"
    )
    secret_keys: tuple[str, ...] = Field(description="32 or more random characters each, newest first, comma-separated")
    password_hashing: PasswordHashing = Field(
        "owasp",
        description="how hard passwords are hashed: owasp with 19 MiB and two passes, or rfc9106 with 64 MiB and three",
    )
    breached_passwords_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s]+/$",
        description="asked about new passwords by k-anonymity, such as https://api.pwnedpasswords.com/range/;"
        " without one they are held against lists alone",
    )
    breached_passwords_outage: Literal["accept", "refuse"] = Field(
        "accept", description="what becomes of a new password while that service does not answer"
    )
    identity_providers: tuple[IdentityProvider, ...] = Field(
        (),
        description="whom people may sign in with besides: a JSON list of objects with kind (google, microsoft, github"
        " or oidc), client_id and client_secret or client_secret_file; for oidc also name, title and issuer",
    )
    dns_servers: tuple[str, ...] = Field(
        (),
        description="who is asked about tenants' domains, such as 192.0.2.1 or 192.0.2.1:5353; by default the system's",
    )
    producers_file: str | None = Field(
        None,
        description="who else may publish commands: the file that `prog producers` keeps, read when it changes",
    )
    stripe_api_key: str | None = Field(None, description="Stripe's secret key; without one the sandbox gateway is used")
    stripe_webhook_secrets: tuple[str, ...] = Field((), description="signs /webhooks/stripe (reserved, not read yet)")
    stripe_api_base: str = Field("https://api.stripe.com", description="address of Stripe's API")
    sendgrid_api_key: str | None = Field(None, description="SendGrid's key; without one mail goes to PROG_SMTP_URL")
    sendgrid_api_base: str = Field("https://api.sendgrid.com", description="address of SendGrid's API")
    sendgrid_webhook_key: str | None = Field(None, description="signs SendGrid webhooks (reserved, not read yet)")
    smtp_url: str | None = Field(None, description="smtp://user:password@host:587 (STARTTLS) or smtps://…")
    sms_url: str | None = Field(None, description="address of the SMS provider (reserved, not read yet)")
    mail_from: str = Field("ProgNetwork <hello@prognetwork.example>", description="sender of the platform's mails")
    trusted_proxies: tuple[str, ...] = Field((), description="networks whose X-Forwarded-For is believed")
    otlp_endpoint: str | None = Field(None, description="where traces go (reserved, not read yet)")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="debug to error")
    process_name: str = Field(
        default_factory=_own_name,
        description="stable name of this process: a restart under it takes its old leases at once; unique by default",
    )
    host: str = Field("127.0.0.1", description="address the edge listens on")
    port: int = Field(8000, ge=0, le=65535, description="port the edge listens on")
    listen_fd: int = Field(
        0, ge=0, description="an open listening socket that several edges share, instead of PROG_HOST and PROG_PORT"
    )
    smtp_listen_port: int = Field(0, ge=0, le=65535, description="port of the local mailbox's SMTP server")
    metrics_port: int = Field(
        0, ge=0, le=65535, description="/healthz, /readyz and /metrics of a worker, relay or scheduler; 0 is off"
    )
    metrics_networks: tuple[str, ...] = Field(
        PRIVATE_NETWORKS,
        description="networks that may read the edge's /metrics, and never through a proxy; by default private ones",
    )
    cors_origins: tuple[str, ...] = Field(
        (),
        description="sites whose pages may call the API in a browser, such as https://app.example; never with cookies",
    )
    backlog_limit: int = Field(
        20_000,
        ge=0,
        description="commands of one domain that may wait before the edge answers 429 to new ones; it takes them again"
        " at half of that; 0 is no limit",
    )
    tenant_in_flight_limit: int = Field(
        500, ge=0, description="commands of one tenant that may be at work through one edge; 0 is no limit"
    )
    tenants_per_person: int = Field(
        TENANTS_PER_PERSON,
        ge=0,
        description="so many tenants of their own one person may make, those not counted that are deleted or another"
        " owner's by now; operators make any number; 0 is no limit",
    )
    tenant_export_mib: int = Field(
        TENANT_EXPORT_MIB,
        ge=0,
        description="MiB that an export of a tenant may have without compression, while it is kept in the database; one"
        " that grows beyond ends, and says so; 0 is no limit",
    )
    person_export_mib: int = Field(
        256,
        ge=0,
        description="MiB that a person's export may have without compression; it is read once to know, and 0, which is"
        " no limit, does not",
    )
    rate_limits: Literal["on", "shadow", "off"] = Field(
        "on", description="on refuses with 429 what is beyond a client's quota; shadow only counts and logs it"
    )
    rate_limit_factor: float | None = Field(
        None, gt=0, description="multiplies every quota; by default 1 in production and 100 elsewhere"
    )
    rate_limit_headers: Literal["draft", "x", "none"] = Field(
        "draft", description="RateLimit as in the IETF draft, the older X-RateLimit-*, or none"
    )
    batch_size: int = Field(500, ge=1, le=5000, description="messages that a worker takes at once")
    lease_seconds: float = Field(5.0, gt=0, le=300, description="how long a shard stays with a silent worker")
    retry_attempts: int = Field(8, ge=1, le=100, description="tries of a failing message before it is a dead letter")
    retry_base_seconds: float = Field(0.5, gt=0, description="first retry's longest delay; it doubles each time")
    retry_cap_seconds: float = Field(300.0, gt=0, description="longest delay between two tries")
    event_log_days: int = Field(
        400,
        ge=0,
        description="how long a month of the event log stays readable after its end, 31 or more; 0 is for ever",
    )
    mail_days: int = Field(400, ge=0, description="how long mails are listed, 31 or more; 0 is for ever")
    invitation_days: int = Field(90, ge=0, description="how long ended invitations stay, 31 or more; 0 is for ever")
    logo_days: int = Field(90, ge=0, description="how long logos that nobody shows stay, 31 or more; 0 is for ever")
    audit_origin_days: int = Field(
        400, ge=0, description="how long the trail keeps addresses and browsers, 31 or more; 0 is for ever"
    )
    breaker_ratio: float = Field(
        0.5, gt=0, description="share of failing messages that pauses a subscription; more than 1 never does"
    )
    breaker_pause_seconds: float = Field(1.0, gt=0, description="its first pause; it doubles to 60 s while probes fail")
    intake_mib: int = Field(64, ge=1, le=65536, description="MiB of read messages that a worker holds, roughly")
    drain_notice_seconds: float = Field(
        0.0,
        ge=0,
        le=300,
        description="how long an edge takes connections yet after SIGTERM, while /readyz sends balancers elsewhere",
    )
    drain_seconds: float = Field(20.0, gt=0, description="time a process has to finish its work after SIGTERM")

    @field_validator(
        "secret_keys",
        "stripe_webhook_secrets",
        "trusted_proxies",
        "dns_servers",
        "metrics_networks",
        "cors_origins",
        "passkey_origins",
        "platform_hosts",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("identity_providers", mode="before")
    @classmethod
    def _providers(cls, value: Any) -> Any:
        return parsed(value) if isinstance(value, str) else value

    @field_validator("secret_keys")
    @classmethod
    def _strong(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if not keys:
            raise ValueError("needs at least one key; make one with: openssl rand -hex 32")
        if any(len(key) < 32 for key in keys):
            raise ValueError("each key needs 32 or more characters; make one with: openssl rand -hex 32")
        return keys

    @field_validator("database_url", "database_replica_url")
    @classmethod
    def _postgresql(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("must start with postgresql://")
        return url

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, url: str) -> str:
        if not url.startswith(_REDIS_SCHEMES):
            raise ValueError("must start with redis://, rediss:// or unix://")
        return url

    @field_validator("broker_url")
    @classmethod
    def _broker(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith((*_REDIS_SCHEMES, "kafka://")):
            raise ValueError("must start with redis://, rediss://, unix:// or kafka://")
        return url

    @field_validator("trusted_proxies", "metrics_networks")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            try:
                ip_network(network, strict=False)
            except ValueError:
                raise ValueError(f"{network!r} is no network, such as 10.0.0.0/8") from None
        return networks

    @field_validator("cors_origins", "passkey_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin, such as https://app.example; neither * nor null is taken")
        return origins

    @field_validator("platform_hosts")
    @classmethod
    def _names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not _HOST_NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r} is no host's name, such as api.example.com, in lower case and without a port"
                )
        return names

    @field_validator("event_log_days", "mail_days", "invitation_days", "logo_days", "audit_origin_days")
    @classmethod
    def _month(cls, days: int) -> int:
        if 0 < days < 31:
            raise ValueError("must be 0 (for ever) or 31 and more")
        return days

    @model_validator(mode="after")
    def _one_domain(self) -> Self:
        """A browser gives a passkey to pages of its domain and of those below it, and to no others."""
        domain = self.passkey_domain
        for address in (self.public_url, *self.passkey_origins):
            host = urlsplit(address).hostname or ""
            if domain is not None and host != domain and not host.endswith(f".{domain}"):
                raise SettingsError([f"PROG_PASSKEY_DOMAIN is {domain}, but {address} is not in it"])
        return self

    @model_validator(mode="after")
    def _production(self) -> Self:
        if self.env != "production":
            return self
        problems = []
        if any(word in key for key in self.secret_keys for word in _DEVELOPMENT_SECRETS):
            problems.append("PROG_SECRET_KEYS holds a default; make one with: openssl rand -hex 32")
        if self.stripe_api_key is None:
            problems.append("PROG_STRIPE_API_KEY is missing: the sandbox gateway is refused in production")
        if self.sendgrid_api_key is None and self.smtp_url is None:
            problems.append(
                "PROG_SENDGRID_API_KEY or PROG_SMTP_URL is missing: the local mailbox is refused in production"
            )
        if any(provider.is_plain_http for provider in self.identity_providers):
            problems.append("PROG_IDENTITY_PROVIDERS must have https:// addresses in production")
        if not self.public_url.startswith("https://"):
            problems.append("PROG_PUBLIC_URL must start with https:// in production")
        if any(not origin.startswith("https://") for origin in self.passkey_origins):
            problems.append("PROG_PASSKEY_ORIGINS must start with https:// in production")
        if problems:
            raise SettingsError(problems)
        return self

    @property
    def effective_rate_limit_factor(self) -> float:
        """What quotas are multiplied by: its own setting, else wide ones except in production."""
        return self.rate_limit_factor or (1.0 if self.env == "production" else 100.0)

    @property
    def effective_broker_url(self) -> str:
        """The broker's address: its own setting, else Redis."""
        return self.broker_url or self.redis_url

    @property
    def signals_url(self) -> str:
        """Redis for answers and wake-ups between processes; the broker itself where that is Redis."""
        url = self.effective_broker_url
        return url if url.startswith(_REDIS_SCHEMES) else self.redis_url

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None, **overrides: Any) -> Self:
        """Reads the environment (or the mapping given).

        Raises SettingsError with every problem at once, each with its remedy.
        """
        source = os.environ if environment is None else environment
        values, problems = _collect(source, set(cls.model_fields))
        values.update(overrides)
        try:
            settings = cls.model_validate(values)
        except SettingsError as error:
            raise SettingsError(problems + error.problems) from None
        except ValidationError as error:
            told = {line.split()[0].rstrip(":").removesuffix("_FILE") for line in problems}
            more = [_problem(cls, item) for item in error.errors()]
            raise SettingsError(problems + [line for line in more if line.split()[0].rstrip(":") not in told]) from None
        if problems:
            raise SettingsError(problems)
        return settings


def _collect(source: Mapping[str, str], fields: set[str]) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in sorted(fields):
        name = _PREFIX + field.upper()
        text = source.get(name)
        file = source.get(name + "_FILE")
        if text is not None and file is not None:
            problems.append(f"{name} and {name}_FILE are both set; remove one")
            continue
        if file is not None:
            try:
                text = Path(file).read_text(encoding="utf-8").strip()
            except OSError as error:
                problems.append(f"{name}_FILE: {file} cannot be read ({error.strerror})")
                continue
        if text is None or text == "":
            continue
        missing = [match for match in _TEMPLATE.findall(text) if match not in source]
        if missing:
            problems.append(f"{name} refers to {', '.join('${' + m + '}' for m in missing)}, which is not set")
            continue
        values[field] = _TEMPLATE.sub(lambda match: source[match[1]], text)
    return values, problems


def _problem(cls: type[Settings], item: Any) -> str:
    field = str(item["loc"][0]) if item["loc"] else "settings"
    name = _PREFIX + field.upper()
    description = cls.model_fields[field].description if field in cls.model_fields else ""
    if item["type"] == "missing":
        return f"{name} is missing: {description}"
    return f"{name}: {item['msg'].removeprefix('Value error, ')} ({description})"


def documented() -> list[tuple[str, str, str]]:
    """Name, default and description of every setting, for the documentation and its test."""
    rows = []
    for field, info in Settings.model_fields.items():
        default = "" if info.is_required() or info.default in (None, (), PydanticUndefined) else str(info.default)
        rows.append((_PREFIX + field.upper(), default, info.description or ""))
    return rows


def misspelt(environment: Mapping[str, str]) -> list[str]:
    """A line for each PROG_ variable that no setting has, with the nearest name; tools' own variables are left out."""
    known = [_PREFIX + field.upper() for field in Settings.model_fields]
    lines = []
    for name in sorted(environment):
        bare = name.removesuffix("_FILE")
        if not name.startswith(_PREFIX) or bare in known or name in known or name.startswith(_TOOLS):
            continue
        near = difflib.get_close_matches(bare, known, n=1, cutoff=0.7)
        lines.append(f"{name} is no setting{f'; did you mean {near[0]}?' if near else ' and is ignored'}")
    return lines
