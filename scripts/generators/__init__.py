"""The files that are made from the code: path below the project's root, and the function that gives the text."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .asyncapi import document
from .commands import commands
from .configuration import configuration
from .schemas import ASKED, configuration_schema, credential_schema, request_schema, trigger_schema

GENERATORS: list[tuple[str, Callable[[], str]]] = [
    ("docs/asyncapi.json", document),
    ("docs/commands.md", commands),
    ("docs/configuration.md", configuration),
    ("docs/schemas/configuration.schema.json", configuration_schema),
    ("docs/schemas/credential.schema.json", credential_schema),
    ("docs/schemas/trigger.schema.json", trigger_schema),
    *((f"docs/schemas/{name}.schema.json", partial(request_schema, name)) for name in ASKED),
]
