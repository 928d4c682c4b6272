"""Samples and field tables of JSON schemas, for the reference."""

from __future__ import annotations

from typing import Any, Final

_MAX_DEPTH: Final = 8
_MAX_LIST_DEPTH: Final = 4
_BY_FORMAT: Final = {
    "date-time": "2027-01-31T09:00:00Z",
    "uuid": "01932b4e-8f00-7c3a-9d2e-5a1b2c3d4e5f",
    "password": "correct horse battery staple",
}
_BY_TYPE: Final[dict[str, Any]] = {"string": "…", "integer": 1, "number": 1.0, "boolean": True, "null": None}
_BY_NAME: Final = {
    "accent_dark": "#58a6ff",
    "accent_light": "#0969da",
    "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJ1c2VyXzAxIn0.c2lnbmF0dXJl",
    "actor": "user_01jd7z4c8nf3ktv9q2m6x0r5we",
    "attestationObject": "o2NmbXRkbm9uZWdhdHRTdG10oGhhdXRoRGF0YVglKAWYKbEFHwTvAxGQZ8DOCeBSd2EokPjgh08djs4a4DQFAAAABw",
    "authenticatorData": "KAWYKbEFHwTvAxGQZ8DOCeBSd2EokPjgh08djs4a4DQFAAAABw",
    "brand": "visa",
    "card_brand": "visa",
    "card_last4": "4242",
    "changed": "branding.name",
    "changed_by": "user_01jd7z4c8nf3ktv9q2m6x0r5we",
    "client_address": "192.0.2.7",
    "client_secret": "q7Rk0bV2mXc9LtNw4hZs8aGdYe3fPu2J",
    "clientDataJSON": (
        "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0IiwiY2hhbGxlbmdlIjoiTGRBTDEzNENJczdZZ21aVWdhbkIyZmtITUowVzRGN1FCNkhxWTVLRWQ2ayJ9"
    ),
    "code": "card_declined",
    "company": "Acme Ltd",
    "created_by": "user_01jd7z4c8nf3ktv9q2m6x0r5we",
    "currency": "USD",
    "datacontenttype": "application/json",
    "dataschema": "https://acme.example/schemas/order",
    "decided_by": "user_01jd7z4c8nf3ktv9q2m6x0r5we",
    "description": "For small teams",
    "detail": "2 processes",
    "domain": "acme.example",
    "email": "ada@example.com",
    "features": "5 members",
    "field": "name",
    "fingerprint": "9f86d081884c7d65",
    "group": "email",
    "hash": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "held_by": "user_01jd7z4c8nf3ktv9q2m6x0r5we",
    "html": "<p>Welcome!</p>",
    "id": "1042",
    "image": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==",
    "invoice_number": "INV-000042",
    "issuer": "https://id.acme.example",
    "kid": "key-2027-01",
    "last4": "4242",
    "logo": "9f86d081884c7d659a2feaa0c55ad015",
    "message": "This field is required.",
    "mfa_token": "prog_mfa_4c8nf3ktv9q2m6x0r5we",
    "model": "per_unit",
    "name": "Ada Lovelace",
    "next_cursor": "eyJhZnRlciI6IjAxOTMyYjRlIn0",
    "note": "We want to grow.",
    "number": "INV-000042",
    "owner": "worker-core",
    "passkey_token": "LXRva2VuLTAxkq3m0x5Zt8aGdYe3fPu2JS0Kq7Rk0bV2mXc9LtNw4hZs",
    "permission": "event.read",
    "plan": "Starter",
    "preview": "Your invoice is ready",
    "qr_svg": '<svg xmlns="http://www.w3.org/2000/svg"/>',
    "reason": "card_declined",
    "recovery_codes": "4x7k-q2mp-9dch",
    "refresh_token": "prog_refresh_4c8nf3ktv9q2m6x0r5we",
    "registered_by": "user_01jd7z4c8nf3ktv9q2m6x0r5we",
    "replaced_by": "apikey_01jd7z4c8nf3ktv9q2m6x0r5we",
    "replaces": "apikey_01jd7z4c8nf3ktv9q2m6x0r5we",
    "reply_to": "help@acme.example",
    "requested_by": "user_01jd7z4c8nf3ktv9q2m6x0r5we",
    "secret": "JBSWY3DPEHPK3PXP",
    "sender": "hello@prognetwork.example",
    "sender_name": "Acme",
    "signature": "MEQCIEFDSeQi8FKXGR6tE-IdPbUg5avvUgVeSWS4L7IT9ZOhAiBBOnGHdMVyvYolrb6xv81cAlauEc7Pn5w_kl0OUr6viQ",
    "slug": "acme",
    "source": "/shop",
    "specversion": "1.0",
    "status": "ok",
    "stream": "prog.email.commands.3",
    "subject": "order-1042",
    "support_address": "help@acme.example",
    "suspension_reason": "Unpaid invoices",
    "template": "welcome",
    "tenant_name": "Acme",
    "tenantid": "tenant_01jd7z4c8nf3ktv9q2m6x0r5we",
    "text": "Welcome!",
    "to": "ada@example.com",
    "token": "prog_verify_4c8nf3ktv9q2m6x0r5we",
    "topic": "prog.email.commands",
    "topics": "prog.email.commands",
    "traceback": "Traceback (most recent call last): …",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "transports": "internal",
    "type": "com.acme.order.placed",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "userHandle": "AZMrTo8AfDqdLlobLD1OXw",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
"""What fields of these names hold, where their schema has no example of its own."""
_OBJECT_ID: Final = "01jd7z4c8nf3ktv9q2m6x0r5we"


def sample(schema: dict[str, Any], schemas: dict[str, Any], name: str = "", depth: int = 0) -> Any:
    """A value that fits the schema, from its examples where it has any."""
    schema = _resolved(schema, schemas)
    for key in ("example", "const", "default"):
        if schema.get(key) is not None:
            return schema[key]
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return sample(_first(schema[key]), schemas, name, depth)
    kind = schema.get("type")
    if depth > _MAX_DEPTH:
        return None
    if kind == "object" or "properties" in schema:
        return {key: sample(part, schemas, key, depth + 1) for key, part in schema.get("properties", {}).items()}
    if kind == "array":
        # What is deep is most often a list in its own kind, which would go on for ever.
        return [sample(schema.get("items", {}), schemas, name, depth + 1)] if depth < _MAX_LIST_DEPTH else []
    if kind == "string":
        return _text(schema, name)
    if kind in ("integer", "number"):
        return max(schema.get("minimum", 1), 1)
    return _BY_TYPE.get(str(kind))


def shape(schema: dict[str, Any], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of a body: name, type, whether it is required, and what it means."""
    schema = _resolved(schema, schemas)
    required = set(schema.get("required", ()))
    return [
        {
            "name": name,
            "type": _type(part, schemas),
            "required": name in required,
            "text": part.get("description", ""),
        }
        for name, part in schema.get("properties", {}).items()
    ]


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return schemas[reference.rpartition("/")[2]] if reference else schema


def _type(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    schema = _resolved(schema, schemas)
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(part, schemas) for part in schema["anyOf"])
    return str(schema.get("format") or schema.get("type", "object"))


def _text(schema: dict[str, Any], name: str) -> str:
    if schema.get("format") in _BY_FORMAT:
        return _BY_FORMAT[schema["format"]]
    if name.endswith("_id") and name not in _BY_NAME:
        return f"{name.removesuffix('_id')}_{_OBJECT_ID}"
    return _BY_NAME.get(name, str(_BY_TYPE["string"]))


def _first(choices: list[dict[str, Any]]) -> dict[str, Any]:
    """The first that is something."""
    return next((choice for choice in choices if choice.get("type") != "null"), choices[0])
