"""From a template and its data to subject, text and HTML.

A template is a folder of three files: `subject.txt`, `body.txt`, `body.mjml`. The MJML goes through two steps. Once a
content it is put into the shared layout (Jinja2 with the delimiters `<% %>` and `<< >>`) and compiled to HTML, in which
the placeholders `{{ }}` survive; that HTML is a Jinja2 template, rendered for each recipient with autoescape. Nothing a
recipient's data hold is ever markup.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import jinja2
import mjml
from babel.dates import format_date, format_time, get_timezone_gmt
from babel.numbers import format_currency, format_decimal
from jinja2 import pass_context
from jinja2.runtime import Context

from prog_contracts.email import Template
from prog_contracts.hosts import url_at
from prog_contracts.money import EXPONENTS, Money
from prog_workers.email.branding import PLATFORM, Brand
from prog_workers.email.contexts import MailContext, Place
from prog_workers.email.rules import QUOTAS, REASONS, ROLES, one_line

TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A mail for one recipient."""

    subject_line: str
    text: str
    html: str


class Renderer:
    """Renders mails whose links lead to one platform. Thread-safe."""

    def __init__(self, public_url: str) -> None:
        self._public_url = public_url

    def url_at(self, host: str) -> str:
        """The address of a tenant's own host."""
        return url_at(self._public_url, host)

    def render(
        self,
        template: Template,
        context: MailContext,
        *,
        tenant_id: str,
        secrets: Mapping[str, str],
        brand: Brand = PLATFORM,
        site_url: str | None = None,
    ) -> Rendered:
        """The mail, in the looks of `brand`. Its button leads to `site_url`, a tenant's own host, or to the platform.

        Raises jinja2.UndefinedError when a template names what its context does not have.
        """
        place = Place(self._public_url, tenant_id, secrets)
        values = {
            **_values(context),
            "link": context.link(place if site_url is None else replace(place, public_url=site_url)),
            "site_url": self._public_url.rstrip("/"),
            "brand": brand,
            "logo_url": None if brand.logo_path is None else place.url(brand.logo_path),
        }
        return Rendered(
            subject_line=subject_line(template, context),
            text=_text_environment().get_template(f"{template}/body.txt").render(values).strip() + "\n",
            html=_html_template(template).render(values),
        )


def subject_line(template: Template, context: MailContext) -> str:
    """The subject: one line, no secret in it, so it can be stored and listed."""
    return one_line(_text_environment().get_template(f"{template}/subject.txt").render(_values(context)))


def compile_mjml(source: str) -> str:
    """HTML of an MJML document. Raises ValueError when the MJML is malformed."""
    return str(mjml.mjml2html(source, disable_comments=True, fonts={}))


def _values(context: MailContext) -> dict[str, Any]:
    return {name: getattr(context, name) for name in type(context).model_fields}


def _html_template(template: Template) -> jinja2.Template:
    source = _layout_environment().get_template(f"{template}/body.mjml").render()
    return _compiled(hashlib.sha256(source.encode()).hexdigest(), source)


@cache
def _compiled(content_hash: str, source: str) -> jinja2.Template:
    """Compiled once a content, which `content_hash` names; the process has a fixed number of templates."""
    return _html_environment().from_string(compile_mjml(source))


@cache
def _layout_environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - puts our own MJML files together; no data takes part
    )


@cache
def _html_environment() -> jinja2.Environment:
    return _with_filters(jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True))


@cache
def _text_environment() -> jinja2.Environment:
    return _with_filters(
        jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,  # noqa: S701 - plain text
        )
    )


def _with_filters(environment: jinja2.Environment) -> jinja2.Environment:
    environment.filters.update(
        money=_money,
        date=_date,
        instant=_instant,
        in_words=REASONS.__getitem__,
        quota=QUOTAS.__getitem__,
        in_role=ROLES.__getitem__,
        count=_count,
    )
    return environment


@pass_context
def _money(context: Context, value: Money) -> str:
    """`$19.99`, as the recipient's locale writes it."""
    major = Decimal(value.amount).scaleb(-EXPONENTS.get(value.currency, 2))
    return format_currency(major, value.currency, locale=context["locale"])


@pass_context
def _count(context: Context, value: int) -> str:
    """`10,000`, as the recipient's locale writes it."""
    return format_decimal(value, locale=context["locale"])


@pass_context
def _date(context: Context, value: datetime) -> str:
    """`January 31, 2027`, in the recipient's time zone, as their locale writes it."""
    return format_date(value.astimezone(_zone(context)), "long", locale=context["locale"])


@pass_context
def _instant(context: Context, value: datetime) -> str:
    """`January 31, 2027, 4:05 PM UTC`, or `… GMT+01:00`, as the recipient's locale writes it."""
    zone = _zone(context)
    at = value.astimezone(zone)
    where = "UTC" if zone is UTC else get_timezone_gmt(at, locale="en")
    return f"{_date(context, value)}, {format_time(at, 'short', locale=context['locale'])} {where}"


def _zone(context: Context) -> tzinfo:
    """The recipient's time zone; UTC for one that is not known any more."""
    name: str = context["time_zone"]
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
