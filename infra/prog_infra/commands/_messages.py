"""What the commands about messages have in common."""

import difflib
import json
from collections.abc import Iterable
from typing import Final

from prog_contracts.messages import Message
from prog_infra.errors import OperatorError

_MOST_TOLD: Final = 50
"""More problems of one body than this are counted, not listed."""


def parsed(type_name: str, text: str) -> Message:
    """The message that a type's name and a JSON body stand for.

    Raises OperatorError that names the nearest types, or each field that breaks the schema.
    """
    from pydantic import ValidationError

    import prog_contracts.catalogue  # noqa: F401 - fills the registry
    from prog_contracts.messages import all_messages

    models = {model.TYPE: model for model in all_messages()}
    model = models.get(type_name)
    if model is None:
        raise OperatorError(
            f"there is no message type {type_name}",
            remedy=nearest(type_name, models, see="`prog asyncapi` has them all"),
        )
    try:
        message = model.model_validate_json(text)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        told = [
            f"{'.'.join(str(part) for part in item['loc']) or 'body'}: {item['msg']}" for item in found[:_MOST_TOLD]
        ]
        if len(found) > _MOST_TOLD:
            told.append(f"and {len(found) - _MOST_TOLD} more")
        raise OperatorError(f"the body breaks the schema of {type_name}", details=told, remedy=_fields(model)) from None
    # Consumers pass over what they do not know, so that older ones read newer producers; whoever types it has erred.
    unknown = sorted(set(json.loads(text)) - set(model.model_fields))
    if unknown:
        told = [f"{name[:100]}: there is no such field" for name in unknown[:_MOST_TOLD]]
        raise OperatorError(f"the body breaks the schema of {type_name}", details=told, remedy=_fields(model))
    return message


def nearest(name: str, known: Iterable[str], *, see: str) -> str:
    """The remedy for a name that is not known: those that look like it, or `see` where none does."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.3)
    return f"did you mean {', '.join(near)}?" if near else see


def _fields(model: type[Message]) -> str:
    names = ", ".join(f"{name}{'' if field.is_required() else '?'}" for name, field in model.model_fields.items())
    return f"fields: {names}"
