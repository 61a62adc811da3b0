"""The sentence under a field as its description, for models that do not read their own source at every start."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic._internal._docs_extraction import extract_docstrings_from_cls


def describe(schema: dict[str, Any], *models: type[BaseModel]) -> dict[str, Any]:
    """Add to a JSON Schema, and to its definitions, the text below each field of these models."""
    by_name = {model.__name__: model for model in models}
    for name, part in [(schema.get("title"), schema), *schema.get("$defs", {}).items()]:
        if name in by_name:
            for field, text in _texts(by_name[name]).items():
                part["properties"][field].setdefault("description", " ".join(text.split()))
    return schema


def _texts(model: type[BaseModel]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for ancestor in reversed(model.__mro__):
        if issubclass(ancestor, BaseModel) and ancestor is not BaseModel:
            texts |= extract_docstrings_from_cls(ancestor, use_inspect=True)
    return texts
