"""A virtual authenticator in Chromium (the WebAuthn domain of its protocol): a device that makes and uses passkeys."""

from __future__ import annotations

from typing import Any, Final

from playwright.sync_api import Page

_DEVICE: Final = {
    "protocol": "ctap2",
    "ctap2Version": "ctap2_1",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
    "defaultBackupEligibility": True,
    "defaultBackupState": True,
}


class Device:
    """The authenticator of one page. `carry_to` takes its passkeys to another page, as a phone goes along."""

    def __init__(self, page: Page, **changes: Any) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("WebAuthn.enable")
        made = self._session.send("WebAuthn.addVirtualAuthenticator", {"options": {**_DEVICE, **changes}})
        self._id: str = made["authenticatorId"]

    def credentials(self) -> list[dict[str, Any]]:
        found = self._session.send("WebAuthn.getCredentials", {"authenticatorId": self._id})
        return list(found["credentials"])

    def take(self, credential: dict[str, Any]) -> None:
        self._session.send("WebAuthn.addCredential", {"authenticatorId": self._id, "credential": credential})

    def carry_to(self, page: Page, **changes: Any) -> Device:
        other = Device(page, **changes)
        for credential in self.credentials():
            other.take(credential)
        return other

    def is_unlocked(self, unlocked: bool) -> None:
        """Whether whoever holds it shows a finger, a face or a PIN."""
        self._session.send("WebAuthn.setUserVerified", {"authenticatorId": self._id, "isUserVerified": unlocked})

    def answers(self, at_once: bool) -> None:
        """Whether somebody touches it as soon as it is asked."""
        self._session.send("WebAuthn.setAutomaticPresenceSimulation", {"authenticatorId": self._id, "enabled": at_once})
