"""Every template: subject, text and HTML for any data that fit, and nothing of the data is ever markup."""

import re
from datetime import UTC, datetime
from html import unescape
from typing import Any, get_args

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prog_contracts.email import Template
from prog_contracts.errors import Invalid
from prog_contracts.money import Money
from prog_workers.email import render
from prog_workers.email.contexts import CONTEXTS, MailContext, context_of
from prog_workers.email.render import TEMPLATES, Rendered, Renderer, subject_line

NAMES: tuple[Template, ...] = get_args(Template)
TENANT = "tenant_01jd7z4c8nf3ktv9q2m6x0r5we"
AT = "2027-02-14T12:00:00Z"
DATA: dict[str, Any] = {
    "name": "Ada", "tenant_name": "Engines & Sons", "tenant_id": TENANT, "role": "admin", "inviter_name": "Charles",
    "expires_at": AT, "plan": "Team", "number": "PN-42", "amount": {"amount": 4900, "currency": "USD"},
    "amount_due": {"amount": 1234500, "currency": "USD"}, "period_start": AT, "period_end": AT, "paid_at": AT,
    "card_brand": "visa", "card_last4": "4242", "reason": "insufficient_funds", "failed_at": AT,
    "next_attempt_at": "2027-02-17T00:00:00Z", "current_period_end": AT, "ended_at": AT, "changed_at": AT,
    "change": "enrolled", "linked": True, "provider": "Google", "app_name": "The Shop", "connected_at": AT,
    "what": "configured", "detail": "https://id.acme.example",
    "domain": "accounts.acme.example", "target": "app.example.com",
    "purge_at": AT, "step": "requested", "erase_at": AT, "exported_at": AT, "began_at": AT,
    "quota": "events_per_month", "percent": 80, "used": 8000, "limit": 10000,
    "since": AT, "wrong_codes": 12,
    "requested_by": "Charles Babbage", "limit_mib": 10_240,
}  # fmt: skip
SECRETS = {"token": "prog_verify_abc"}


def data_of(template: Template) -> dict[str, Any]:
    return DATA | ({"what": "activated"} if template == "tenant_custom_domain_changed" else {})


def rendered(template: Template, **changes: Any) -> Rendered:
    context = context_of(template, data_of(template) | changes, SECRETS)
    return Renderer("https://prog.example/").render(template, context, tenant_id=TENANT, secrets=SECRETS)


def links(mail: Rendered) -> set[str]:
    return {unescape(link) for link in re.findall(r'href="(https?://[^"]+)"', mail.html)}


@pytest.mark.parametrize("template", NAMES)
def test_every_mail_has_a_subject_a_text_and_html_with_the_same_links(template: Template) -> None:
    mail = rendered(template)
    assert 5 < len(mail.subject_line) <= 90
    assert "\n" not in mail.subject_line
    assert links(mail)
    assert all(link in mail.text for link in links(mail))
    assert mail.text.startswith("Hi Ada,\n\n")
    assert mail.html.count("<!doctype html>") == 1
    assert "{{" not in mail.html + mail.text
    assert "{%" not in mail.html + mail.text
    assert len(mail.html) < 100_000, "longer mails are clipped by Gmail"


@pytest.mark.parametrize("template", NAMES)
def test_every_mail_suits_dark_mode_and_phones(template: Template) -> None:
    html = rendered(template).html
    assert 'name="color-scheme" content="light dark"' in html
    assert "@media (prefers-color-scheme: dark)" in html
    assert "max-width:600px" in html
    assert "<img" not in html, "a picture that is not loaded must not be missed"
    assert "fonts.googleapis.com" not in html


@pytest.mark.parametrize("template", NAMES)
def test_a_mail_without_any_optional_field_is_whole(template: Template) -> None:
    optional = {name for name, item in CONTEXTS[template].model_fields.items() if not item.is_required()}
    data = {name: value for name, value in data_of(template).items() if name not in optional}
    context = context_of(template, data, SECRETS)
    mail = Renderer("https://prog.example").render(template, context, tenant_id=TENANT, secrets=SECRETS)
    assert mail.text.startswith("Hello,\n\n")
    assert "None" not in mail.text
    assert "None." not in mail.html


@pytest.mark.parametrize(
    ("template", "link"),
    [
        ("verify_email", "https://prog.example/account/verify?token=prog_verify_abc"),
        ("reset_password", "https://prog.example/account/reset-password?token=prog_verify_abc"),
        ("magic_link", "https://prog.example/account/sign-in-link/open?token=prog_verify_abc"),
        ("password_changed", "https://prog.example/account/forgot-password"),
        ("app_connected", "https://prog.example/account/apps"),
        ("impersonated", "https://prog.example/account/activity"),
        ("invitation", "https://prog.example/account/invitations/accept?token=prog_verify_abc"),
        ("tenant_ready", f"https://prog.example/account/tenants/{TENANT}"),
        ("payment_failed", f"https://prog.example/account/tenants/{TENANT}/billing"),
        ("lead_thanks", "https://prog.example/account/sign-up"),
    ],
)
def test_the_button_leads_to_the_right_page(template: Template, link: str) -> None:
    assert link in links(rendered(template))


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_a_tenant_s_name_is_never_markup(name: str) -> None:
    plain = rendered("tenant_ready", tenant_name="Acme")
    mail = rendered("tenant_ready", tenant_name=name + "<script>\"&'")
    assert "<script>" not in mail.html
    assert len(re.findall("<[a-z]", mail.html)) == len(re.findall("<[a-z]", plain.html))


def test_a_name_with_template_code_is_shown_as_it_is() -> None:
    mail = rendered("tenant_ready", tenant_name="{{ link }}{% raw %}")
    assert "{{ link }}{% raw %} is set up" in mail.text
    assert mail.subject_line == "{{ link }}{% raw %} is ready"


@pytest.mark.parametrize(("role", "words"), [("admin", "an admin"), ("billing", "a billing contact")])
def test_an_invitation_says_what_somebody_becomes(role: str, words: str) -> None:
    mail = rendered("invitation", role=role)
    assert f"to join Engines & Sons on ProgNetwork as {words}." in mail.text
    assert f"on ProgNetwork as {words}." in mail.html


@pytest.mark.parametrize("template", NAMES)
def test_mails_call_a_tenant_what_the_pages_call_it(template: Template) -> None:
    for file in (TEMPLATES / template).iterdir():
        assert "workspace" not in file.read_text(encoding="utf-8").lower(), file


@pytest.mark.parametrize("what", ["configured", "removed", "domain_proven", "domain_released"])
def test_the_text_about_sign_on_has_its_paragraphs_apart(what: str) -> None:
    paragraphs = rendered("tenant_sign_on_changed", what=what).text.split("\n\n")
    assert paragraphs[2].startswith("If you or somebody")
    assert max(map(len, paragraphs[1].splitlines())) < 100


@pytest.mark.parametrize("what", ["proven", "activated", "misdirected", "missing", "lost", "released"])
def test_each_change_of_a_custom_domain_has_words_of_its_own(what: str) -> None:
    mail = rendered("tenant_custom_domain_changed", what=what)
    assert "accounts.acme.example" in mail.text
    assert "accounts.acme.example" in mail.html
    assert mail.text.split("\n\n")[2].startswith(("If you or somebody", "The page of custom domains"))
    assert max(map(len, mail.text.splitlines())) < 110


def test_a_failed_payment_is_told_in_plain_words_with_the_next_date() -> None:
    mail = rendered("payment_failed")
    assert mail.subject_line == "Your payment of $12,345.00 failed"
    assert "there were not enough funds on the card" in mail.text
    assert "we will try again on February 17, 2027" in mail.text
    last = rendered("payment_failed", next_attempt_at=None, reason="lost_card")
    assert "We will not try this card again" in last.text
    assert "lost or stolen" in last.html


@pytest.mark.parametrize(
    ("step", "subject", "said"),
    [
        ("requested", "Your account will be deleted", "You have asked us"),
        ("requested_by_operator", "Your account will be deleted", "An operator of the platform"),
        ("restored", "Your account stays", "will not be deleted"),
        ("stopped", "Your account was not deleted", "only owner of"),
        ("done", "Your account is deleted", "the last mail"),
    ],
)
def test_each_step_of_an_account_s_end_says_what_it_is(step: str, subject: str, said: str) -> None:
    mail = rendered("account_deletion", step=step, tenant_names=["Acme", "<b>Bold</b>"])
    assert mail.subject_line == subject
    assert said in " ".join(mail.text.split())
    assert said in " ".join(mail.html.split())
    assert ("February 14, 2027" in mail.text) is step.startswith("requested")
    assert ("Acme, &lt;b&gt;Bold&lt;/b&gt;" in mail.html) is (step == "stopped")


@pytest.mark.parametrize(
    ("money", "locale", "shown"),
    [
        (Money(amount=1999, currency="USD"), "en_US", "$19.99"),
        (Money(amount=500, currency="JPY"), "en_US", "¥500"),
        (Money(amount=1500, currency="KWD"), "en_US", "KWD1.500"),
        (Money(amount=123456, currency="EUR"), "de_DE", "1.234,56\xa0€"),
        (Money(amount=9007199254740993, currency="USD"), "en_US", "$90,071,992,547,409.93"),
    ],
)
def test_money_is_written_as_the_locale_does_and_never_rounded(money: Money, locale: str, shown: str) -> None:
    mail = rendered("receipt", amount=money.model_dump(), locale=locale)
    assert shown in mail.text


def test_dates_are_written_in_utc_as_the_locale_does() -> None:
    late = datetime(2027, 2, 14, 23, 59, tzinfo=UTC).isoformat()
    assert "14. Februar 2027" in rendered("receipt", paid_at=late, locale="de_DE").text
    assert "February 15, 2027" in rendered("receipt", paid_at="2027-02-14T23:30:00-05:00").text


def test_mjml_is_compiled_once_for_all_recipients(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    real = render.compile_mjml

    def counted(source: str) -> str:
        compiled.append(source)
        return real(source)

    monkeypatch.setattr(render, "compile_mjml", counted)
    render._compiled.cache_clear()
    for name in ("Ada", "Grace", "Edsger"):
        assert name in rendered("welcome", name=name).html
    assert len(compiled) == 1


def test_a_template_may_not_name_what_its_data_do_not_have() -> None:
    class Empty(MailContext):
        pass

    with pytest.raises(jinja2.UndefinedError):
        subject_line("receipt", Empty())


@pytest.mark.parametrize("template", NAMES)
def test_each_template_is_three_files_and_has_its_data_declared(template: Template) -> None:
    assert {file.name for file in (TEMPLATES / template).iterdir()} == {"subject.txt", "body.txt", "body.mjml"}
    assert template in CONTEXTS


def test_no_template_is_left_over() -> None:
    assert {folder.name for folder in TEMPLATES.iterdir()} == {*NAMES, "layout"}


def test_missing_data_are_told_by_field() -> None:
    with pytest.raises(Invalid) as raised:
        context_of("receipt", {"plan": "Team"}, {})
    assert "data.amount" in [item.field for item in raised.value.fields]
    with pytest.raises(Invalid) as raised:
        context_of("verify_email", {}, {})
    assert [item.field for item in raised.value.fields] == ["sealed_data.token"]
