"""The sentences for people, and that no error type goes without one."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import get_args

import pytest

from encoder_bridge import texts, wire
from encoder_bridge.driver import Prompt
from encoder_bridge.model import Problem

ROOT = Path(__file__).parents[1]
DATA = tomllib.loads((files(texts) / "en.toml").read_text(encoding="utf-8"))
TYPES = sorted(DATA["errors"])

# Source: Seam API reference, errors of an action attempt of the type ENCODE_CREDENTIAL.
ENCODE_ERRORS = (
    "action_attempt_expired",
    "bridge_disconnected",
    "credential_cannot_be_reissued",
    "credential_deleted",
    "encoder_communication_timeout",
    "encoder_not_online",
    "encoding_interrupted",
    "incompatible_card_format",
    "no_credential_on_encoder",
    "uncategorized_error",
)
# Source: Seam API reference, errors of action attempts of the types SCAN_CREDENTIAL, ASSIGN_CREDENTIAL and
# SCAN_TO_ASSIGN_CREDENTIAL.
SCAN_AND_ASSIGN_ERRORS = (
    "action_attempt_expired",
    "bridge_disconnected",
    "credential_not_found",
    "encoder_communication_timeout",
    "encoder_not_online",
    "no_credential_on_encoder",
    "uncategorized_error",
)
OF_RESOLVE = {f"card_{said}" for said in get_args(wire.Resolve.model_fields["card"].annotation)}
"""Told in the word that a person chose."""
OF_HTTP = {"content_type_refused", "method_not_allowed", "origin_refused", "store_error", "unknown_path"}
"""Told to a program that uses the control channel wrongly, or without a store: there is nothing for a clerk in it."""
TORN_OR_IN_DOUBT = (
    "action_attempt_expired",
    "encoder_communication_timeout",
    "encoding_interrupted",
    "uncategorized_error",
    "verify_mismatch",
)

NOT_SHOWN = {"config"}
"""Marks a refused value of the configuration, where the sentence alone is shown."""
OF_TEXTS = {"clerk", "log", "problem"}
JARGON = re.compile(
    r"\b(mqtt|json|trigger|configur\w*|broker|payload|topic|field|daemon|driver|credential|access method|uid|job"
    r"|event|socket|signature|sequence|api|retry|queue)\b",
    re.IGNORECASE,
)

VALUES = {
    "card": "04a1b2c3",
    "driver": "pcsc",
    "encoder": "desk-1",
    "encoders": "desk-1, desk-2",
    "ends_at": "2025-07-16 11:00",
    "known": "desk-1, desk-2",
    "limit": 12,
    "max_bytes": 1024,
    "max_open": 500,
    "requester": "booking",
    "scope": "room 12",
    "size": 70_000,
    "starts_at": "2025-07-13 15:00",
    "type": "never_seen",
    "unused": 3,
    "where": "credential.ends_at",
    "why": "it is out of range",
    "window": 5,
}


def rendered(**values: object) -> Iterator[tuple[str, str]]:
    """Every text there is, with its name."""
    for type_ in [*TYPES, "never_seen"]:
        yield f"{type_}.clerk", texts.clerk(type_, **values)
        yield f"{type_}.log", texts.log(type_, **values)
    for name in DATA["prompts"]:
        yield f"prompts.{name}", texts.prompt(name, **values)
    for name in DATA["effects"]:
        yield f"effects.{name}", texts.effect(name)
    for name in DATA["not_enforced"]:
        yield f"not_enforced.{name}", texts.not_enforced(name)


def modules() -> Iterator[Path]:
    for folder in ("encoder_bridge", "drivers"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def typed_errors(sources: Iterable[str]) -> frozenset[str]:
    """The errors that take a type first, and what is derived from them."""
    found = {"MalformedMessage", "PydanticCustomError"}
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef) and any(
                ast.unparse(base).endswith("MalformedMessage") for base in node.bases
            ):
                found.add(node.name)
    return frozenset(found)


TYPED_ERRORS = typed_errors(path.read_text() for path in modules())


def types_in(source: str) -> set[str]:
    """Every error type that a module names: beside `type` or `error_type`, or first in an error that is told by it.

    A name that stands in such a place counts with everything that its function lets it be; what is handed to a function
    of the module as its `error_type` counts as well.
    """
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    takers = {name: place for function in functions for name, place in _takes(function)}
    return {text for scope in (tree, *functions) for text in _types_in_scope(scope, takers)} - NOT_SHOWN


def _takes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, int]]:
    """The function's name, and which argument is an error type, counted as a caller counts them."""
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    if "error_type" in names:
        yield function.name, names.index("error_type") - (names[0] in {"self", "cls"})


def _types_in_scope(scope: ast.AST, takers: Mapping[str, int]) -> Iterator[str]:
    places = [place for node in ast.walk(scope) if isinstance(node, ast.Call) for place in _places(node, takers)]
    names = {node.id for place in places for node in _results(place) if isinstance(node, ast.Name)} | {"error_type"}
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            places += [value for target in targets for value in _assigned(target, node.value, names)]
    for place in places:
        for node in _results(place):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def _places(call: ast.Call, takers: Mapping[str, int]) -> Iterator[ast.expr]:
    yield from (keyword.value for keyword in call.keywords if keyword.arg in {"type", "error_type"})
    func = call.func
    name = func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""
    if name in takers:
        yield from call.args[takers[name] :][:1]
    told = isinstance(func, ast.Name) and func.id in TYPED_ERRORS | {"problem"}
    if isinstance(func, ast.Attribute):
        of_texts = isinstance(func.value, ast.Name) and func.value.id == "texts"
        told = func.attr in TYPED_ERRORS or (of_texts and func.attr in OF_TEXTS)
    if told and call.args:
        yield call.args[0]


def _results(expression: ast.expr) -> Iterator[ast.expr]:
    """What an expression may come to, seen through `a if b else c` and `a or b`."""
    if isinstance(expression, ast.IfExp):
        yield from (*_results(expression.body), *_results(expression.orelse))
    elif isinstance(expression, ast.BoolOp):
        yield from (result for value in expression.values for result in _results(value))
    else:
        yield expression


def _assigned(target: ast.expr, value: ast.expr, names: set[str]) -> Iterator[ast.expr]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, its in zip(target.elts, value.elts, strict=False):
            yield from _assigned(one, its, names)
    elif (isinstance(target, ast.Name) and target.id in names) or (
        isinstance(target, ast.Attribute) and target.attr == "error_type"
    ):
        yield value


def test_every_error_type_in_the_source_has_texts() -> None:
    found = {(type_, str(path.relative_to(ROOT))) for path in modules() for type_ in types_in(path.read_text())}
    assert len({type_ for type_, _ in found}) > 30
    assert not {(type_, where) for type_, where in found if type_ not in texts.KNOWN | OF_HTTP}
    assert {type_ for type_, where in found if where.endswith("control/server.py")} >= OF_HTTP


def test_every_error_type_that_has_texts_is_one_of_seams_or_is_told_somewhere() -> None:
    told = {type_ for path in modules() for type_ in types_in(path.read_text())}
    assert not texts.KNOWN - told - OF_RESOLVE - set(ENCODE_ERRORS) - set(SCAN_AND_ASSIGN_ERRORS)


@pytest.mark.parametrize(
    "source",
    [
        "Problem(type='new', message='x')",
        "raise Unsure('x', error_type='new')",
        "class Odd(DriverError):\n    error_type: str = 'new'",
        "class Odd(DriverError):\n    error_type = 'new'",
        "raise MalformedMessage('new', 'x')",
        "raise errors.MalformedMessage('new', 'x')",
        "PydanticCustomError('new', 'x')",
        "texts.problem('new', encoder=name)",
        "error = problem('new')",
        "def f():\n    kind, sentence = 'new', 'x'\n    raise MalformedMessage(kind, sentence)",
        "def f():\n    kind = 'other' if a else 'new'\n    raise MalformedMessage(kind, 'x')",
        "self.error_type = 'new'",
        "Problem(type=word or 'new', message='x')",
        "def refused(request, error_type): ...\nrefused(request, 'new')",
        "class A:\n    def _refused(self, request, error_type): ...\n    def f(self): self._refused(request, 'new')",
    ],
)
def test_a_type_that_is_added_to_the_source_is_found(source: str) -> None:
    assert "new" in types_in(source)


def test_errors_that_are_derived_from_a_typed_one_are_typed() -> None:
    source = (
        "class Refused(MalformedMessage): ...\nclass Lost(errors.MalformedMessage): ...\nclass Other(BridgeError): ..."
    )
    assert {"Refused", "Lost"} <= typed_errors([source])
    assert "Other" not in typed_errors([source])


def test_what_merely_looks_like_a_type_is_left_alone() -> None:
    assert not types_in("{'type': 'x'}\nlog.info('x')\nkind = 'x'\ntype(x)\nraise Unsure('x', raw='y')")


def test_the_errors_of_seams_attempts_have_texts() -> None:
    assert len(set(ENCODE_ERRORS)) == 10
    assert set(ENCODE_ERRORS) | set(SCAN_AND_ASSIGN_ERRORS) <= texts.KNOWN


@pytest.mark.parametrize("type_", TORN_OR_IN_DOUBT)
def test_a_card_in_doubt_is_not_to_be_handed_out(type_: str) -> None:
    assert "Do not hand" in texts.clerk(type_)


def test_an_unknown_type_is_told_with_its_code() -> None:
    assert "never_seen" not in texts.KNOWN
    said = texts.clerk("never_seen")
    assert "once more with a new card" in said
    assert "call support with the code never_seen" in said
    assert "never_seen" in texts.log("never_seen")
    assert texts.problem("never_seen") == Problem(type="never_seen", message=texts.log("never_seen"))


def test_a_problem_says_what_the_log_says() -> None:
    said = texts.problem("queue_full", max_open=500)
    message = texts.log("queue_full", max_open=500)
    assert said == Problem(type="queue_full", message=message, values={"max_open": "500"})
    assert "500" in said.message
    assert "desk-1, desk-2" in texts.problem("unknown_encoder", known="desk-1, desk-2").message


def test_known_values_are_told_and_unknown_ones_have_a_phrase() -> None:
    assert texts.clerk("no_credential_on_encoder", encoder="desk-1").startswith("No card was laid on desk-1:")
    for values in ({}, {"encoder": None}, {"encoder": ""}):
        assert texts.clerk("no_credential_on_encoder", **values).startswith("No card was laid on the encoder:")
    assert "hand the card out" in texts.clerk("encoding_interrupted")
    assert "hand the card 04a1b2c3 out" in texts.clerk("encoding_interrupted", card="04a1b2c3")


def test_the_number_nought_is_a_value() -> None:
    assert "0 new cards" in texts.clerk("sequence_window", unused=0)


def test_nothing_in_a_value_is_taken_for_a_placeholder() -> None:
    said = texts.clerk("encoding_interrupted", card="{encoder} {0.__class__} {card} \\1 %s", encoder="desk-1")
    assert "the card {encoder} {0.__class__} {card} \\1 %s" in said
    assert "code {encoder}{}." in texts.clerk("{encoder}{}", encoder="desk-1")


def test_a_value_cannot_begin_another_line() -> None:
    assert texts.log("handed_over", encoder="a\nb\x1b[2J\u2028c").startswith("The job was handed over to a�b�[2J�c")


def test_values_that_no_text_asks_for_are_left_alone() -> None:
    assert texts.log("cancelled", self="x", template="y") == texts.log("cancelled")


def test_the_code_that_is_shown_is_the_type_itself() -> None:
    assert "code never_seen." in texts.clerk("never_seen", type="z")


def _one_or_two_sentences(text: str) -> bool:
    return re.fullmatch(r"[A-Z][^\n]*?[^.\s]\.", text) is not None and len(re.findall(r"\.(?:\s|$)", text)) <= 2


@pytest.mark.parametrize("values", [{}, VALUES], ids=["no values", "all values"])
@pytest.mark.parametrize(
    "rule",
    [
        lambda text: "{" not in text and "}" not in text,
        _one_or_two_sentences,
        lambda text: len(text) <= 240,
        lambda text: "  " not in text and text == text.strip(),
    ],
    ids=["no braces are left", "one sentence or two", "short", "clean"],
)
def test_each_text_can_be_shown(values: dict[str, object], rule: Callable[[str], bool]) -> None:
    assert not [name for name, text in rendered(**values) if not rule(text)]


def test_no_text_begins_with_a_value() -> None:
    pairs = [DATA["default"], *DATA["errors"].values(), DATA["prompts"]]
    assert not [text for pair in pairs for text in pair.values() if text.startswith("{")]


def test_the_desk_is_spared_the_jargon() -> None:
    said = {name: text for name, text in rendered() if not name.endswith(".log")}
    assert not {name: match[0] for name, text in said.items() if (match := JARGON.search(text))}


def test_the_file_has_nothing_but_whole_pairs_and_declared_placeholders() -> None:
    assert set(DATA) == {"default", "placeholders", "errors", "prompts", "effects", "not_enforced"}
    for pair in (DATA["default"], *DATA["errors"].values()):
        assert set(pair) == {"clerk", "log"}
        assert all(pair.values())
    used = set(re.findall(r"\{([^}]*)\}", " ".join(_strings({**DATA, "placeholders": {}}))))
    assert used == set(DATA["placeholders"]) == set(VALUES)
    for name, phrase in DATA["placeholders"].items():
        assert set(phrase) == {"known", "unknown"}
        assert re.findall(r"\{[^}]*\}", phrase["known"]) == [f"{{{name}}}"]
        assert "{" not in phrase["unknown"]
    assert set(TYPES) == texts.KNOWN
    assert all(re.fullmatch(r"[a-z][a-z_]*", type_) for type_ in TYPES)


def _strings(table: dict[str, object]) -> Iterator[str]:
    for value in table.values():
        if isinstance(value, dict):
            yield from _strings(value)
        else:
            yield str(value)


def test_every_prompt_of_the_port_has_a_sentence() -> None:
    assert {prompt.value for prompt in Prompt} | {"lift_card"} == set(DATA["prompts"])
    assert texts.prompt(Prompt.PLACE_CARD, encoder="desk-1") == "Lay a card on desk-1."
    assert "the card 04a1b2c3" in texts.prompt(Prompt.SAME_CARD, card="04a1b2c3")


def test_effects_and_what_is_not_enforced_have_their_sentences() -> None:
    assert set(DATA["effects"]) == {"replaces_earlier_cards", "joins_earlier_cards", "updates"}
    assert set(DATA["not_enforced"]) == {"card_in_use", "lift"}
    assert texts.effect("joins_earlier_cards") == "Other cards keep working."
    for others_die in "replaces_earlier_cards", "updates":
        assert re.search(r" stop working when (this one|it) is first used\.$", texts.effect(others_die))
    assert texts.not_enforced("lift").startswith("This encoder cannot tell when a card is lifted")


@pytest.mark.parametrize("tell", [texts.prompt, texts.effect, texts.not_enforced])
def test_a_name_that_only_a_bug_could_bring_is_an_error(tell: Callable[[str], str]) -> None:
    with pytest.raises(KeyError):
        tell("no_such_name")
