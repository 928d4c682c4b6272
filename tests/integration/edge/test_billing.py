"""Plans, cards, subscriptions, invoices and payments over HTTP."""

from __future__ import annotations

import pytest
import pytest_asyncio

from prog_contracts.ids import new_id
from tests.integration.edge.stage import Person, Stage
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def payer(stage: Stage) -> Person:
    person = await stage.person("payer@billing.example")
    await stage.tenant_of(person, "Paying Ltd")
    return person


async def test_the_catalogue_is_public(stage: Stage) -> None:
    prices = (await stage.http.get("/v1/prices")).json()["data"]
    products = (await stage.http.get("/v1/products")).json()["data"]
    assert {price["unit_price"]["currency"] for price in prices} == {"USD"}
    assert {price["id"] for product in products for price in product["prices"]} == {price["id"] for price in prices}


async def test_a_subscription_is_billed_paid_and_canceled(stage: Stage, payer: Person) -> None:
    price = (await payer.get("/v1/prices"))["data"][0]
    created = await payer.request(
        "POST",
        "/v1/subscriptions",
        json={"price_id": price["id"], "payment_method": "pm_ok"},
        headers={"Idempotency-Key": new_id("key")},
    )
    assert created.status_code == 201, created.text
    subscription = created.json()
    path = created.headers["location"]
    assert path == f"/v1/subscriptions/{subscription['id']}"

    async def active() -> bool:
        return bool((await payer.get(path))["status"] == "active")

    await wait_until(active, what="the subscription to be active")
    assert [item["id"] for item in (await payer.get("/v1/subscriptions"))["data"]] == [subscription["id"]]
    (card,) = (await payer.get("/v1/payment-methods"))["data"]
    assert (card["is_default"], len(card["last4"])) == (True, 4)
    (invoice,) = (await payer.get("/v1/invoices"))["data"]
    assert invoice["status"] == "paid"
    assert invoice["total"] == price["unit_price"]
    with_lines = await payer.get(f"/v1/invoices/{invoice['id']}")
    assert sum(line["amount"]["amount"] for line in with_lines["lines"]) == invoice["total"]["amount"]
    document = await payer.request("GET", f"/v1/invoices/{invoice['id']}/pdf")
    assert document.headers["content-type"] == "application/pdf"
    assert document.content.startswith(b"%PDF-")
    (payment,) = (await payer.get("/v1/payments", params={"invoice_id": invoice["id"]}))["data"]
    assert (payment["status"], payment["amount"]) == ("succeeded", invoice["total"])

    paid = await payer.request("POST", f"/v1/invoices/{invoice['id']}/pay", headers={"Idempotency-Key": new_id("key")})
    assert (paid.status_code, paid.json()["code"]) == (409, "invoice_not_open")
    canceled = await payer.post(f"{path}/cancel")
    assert (canceled["id"], canceled["cancel_at_period_end"]) == (subscription["id"], True)


async def test_the_receipt_is_among_the_mails(stage: Stage, payer: Person) -> None:
    async def sent() -> bool:
        mails = (await payer.get("/v1/messages", params={"to": payer.email}))["data"]
        return any(mail["template"] == "receipt" and mail["status"] == "sent" for mail in mails)

    await wait_until(sent, what="the receipt to be sent")
    (receipt,) = [mail for mail in (await payer.get("/v1/messages"))["data"] if mail["template"] == "receipt"]
    one = await payer.get(f"/v1/messages/{receipt['id']}")
    assert [step["status"] for step in one["timeline"]][-1] == "sent"


async def test_a_refused_card_names_the_field(payer: Person) -> None:
    answer = await payer.request(
        "POST", "/v1/payment-methods", json={"token": "no such card"}, headers={"Idempotency-Key": new_id("key")}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "token"


async def test_an_unknown_price_is_not_found(payer: Person) -> None:
    answer = await payer.request(
        "POST", "/v1/subscriptions", json={"price_id": new_id("price")}, headers={"Idempotency-Key": new_id("key")}
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_price")


async def test_the_story_of_an_invoice_begins_with_the_subscription(payer: Person) -> None:
    (invoice,) = (await payer.get("/v1/invoices"))["data"]

    async def told() -> bool:
        answer = await payer.request("GET", f"/v1/story/{invoice['id']}")
        return answer.status_code == 200 and "payment_processed" in answer.text

    await wait_until(told, what="the story to be known")
    story = await payer.get(f"/v1/story/{invoice['id']}")
    assert any(root["type"] == "prognetwork.payments.create_subscription" for root in story["roots"])
