"""A passkey at a tenant's own host, in a real browser over sample data: the platform's host asks it, and hands on what
it answers. Here a browser has its say about which page may use a passkey, and where a form may lead."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.sync_api import Browser, expect

from prog_edge.web.ports import PasskeyAnswered
from tests.browser.conftest import free_port
from tests.browser.keys import Device
from tests.browser.screenshots import watch
from tests.browser.test_second_factor import arrive
from tests.unit.edge.web.sample_app import HOST, sample_app
from tests.unit.edge.web.sample_backend import TENANT, sample_services
from tests.unit.edge.web.sample_configuration import SampleBranding
from tests.unit.edge.web.sample_handover import SampleHandover
from tests.unit.edge.web.sample_security import SIGNED

pytestmark = pytest.mark.browser

NOT_SECURE = "Cross-Origin-Opener-Policy header has been ignored"
"""What Chromium says of a page without TLS that is not of this machine; the tenant's host is one here."""


@dataclass
class SignedHandover(SampleHandover):
    """Takes whatever a real authenticator has signed for the platform's host."""

    def answered(self, answer: str) -> PasskeyAnswered | None:
        found = super().answered(answer)
        assert found is not None
        response = json.loads(found.credential)["response"]
        assert {"authenticatorData", "clientDataJSON", "signature", "userHandle"} <= response.keys()
        return replace(found, credential=SIGNED)


@pytest.fixture
def port() -> Iterator[int]:
    port = free_port()
    handover = SignedHandover(f"http://localhost:{port}", f"http://{HOST}:{port}")
    app = sample_app(replace(sample_services(handover=handover), branding=SampleBranding(branded=TENANT)))
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < deadline, "the sample application did not start"
        time.sleep(0.01)
    yield port
    server.should_exit = True
    thread.join(5)


def test_a_passkey_of_the_platform_s_signs_in_at_a_tenant_s_host(chromium: Browser, port: int) -> None:
    problems: list[str] = []
    with chromium.new_context(base_url=f"http://{HOST}:{port}", reduced_motion="reduce") as context:
        context.set_default_timeout(15_000)
        page = context.new_page()
        watch(page, problems)
        # The platform's own sign-in, where this ends, would use the passkey at once, and the sample refuses every one.
        page.add_init_script("delete window.PublicKeyCredential?.isConditionalMediationAvailable")
        key = ec.generate_private_key(ec.SECP256R1())
        stored = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        Device(page).take(
            {
                "credentialId": b64encode(b"credential").decode(),
                "isResidentCredential": True,
                "rpId": "localhost",
                "privateKey": b64encode(stored).decode(),
                "userHandle": b64encode(b"ada").decode(),
                "signCount": 0,
            }
        )
        page.goto(f"/account/sign-in?next=/account/tenants/{TENANT}")
        page.get_by_role("link", name="Sign in with a passkey").press("Enter")
        page.wait_for_url(f"http://localhost:{port}/account/passkey/for-host*")
        button = page.get_by_role("button", name=f"Continue to {HOST}")
        expect(button).to_be_focused()
        page.keyboard.press("Enter")
        page.wait_for_url(f"http://{HOST}:{port}/**")
        arrive(page, f"/account/tenants/{TENANT}")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Analytical Engines")
        page.goto(f"http://localhost:{port}/account")
        arrive(page, "/account/sign-in")
    assert [each for each in problems if NOT_SECURE not in each] == []
