"""A simulation on the terminal: one line for each step, or one JSON object."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import click

from encoder_bridge.sandbox.addresses import Address
from encoder_bridge.sandbox.steps import Step, Tone, Verdict
from encoder_bridge.topics import Topics

_COLOURS: Mapping[Tone, Mapping[str, Any]] = {
    "plain": {},
    "faint": {"dim": True},
    "good": {"fg": "green", "bold": True},
    "bad": {"fg": "yellow"},
}
_WIDTH = 80
_SHORT_ID = 8


class Teller(Protocol):
    """Tells a person or a program."""

    def broker(
        self, name: str, address: Address | None, topics: Topics, cards: Path, *, kept: bool, control: Path
    ) -> None:
        """Say what was started, and how to join it."""

    def step(self, step: Step) -> None:
        """Say what has just happened."""

    def summary(self, verdicts: Sequence[Verdict]) -> None:
        """Say how it ended."""


class Clock:
    """Seconds since the first look."""

    def __init__(self) -> None:
        self._start: float | None = None

    def __call__(self) -> float:
        """Look."""
        now = time.monotonic()
        if self._start is None:
            self._start = now
        return now - self._start


class Programs(Teller):
    """One JSON object a line."""

    def __init__(self) -> None:
        self._clock = Clock()

    def broker(
        self, name: str, address: Address | None, topics: Topics, cards: Path, *, kept: bool, control: Path
    ) -> None:
        """See `Teller`."""
        where = None
        if address:
            where = {"host": address.host, "port": address.port, "protocol": address.protocol, "tls": address.tls}
        self._say(
            {
                "step": "started",
                "broker": {"name": name, **where} if where else None,
                "trigger_topic": topics.trigger,
                "topics": f"{topics.root}/#",
                "cards": str(cards),
                "cards_are_kept": kept,
                "control_socket": str(control),
            }
        )

    def step(self, step: Step) -> None:
        """See `Teller`."""
        about = {"offset_s": round(self._clock(), 3), "step": step.kind, "who": step.who, "sentence": step.sentence}
        if step.access_method_id:
            about["access_method_id"] = step.access_method_id
        self._say(about | dict(step.facts))

    def summary(self, verdicts: Sequence[Verdict]) -> None:
        """See `Teller`."""
        issued = sum(verdict.is_issued for verdict in verdicts)
        self._say(
            {
                "step": "end",
                "jobs": len(verdicts),
                "issued": issued,
                "is_issued": bool(verdicts) and issued == len(verdicts),
                "is_right": all(verdict.is_right for verdict in verdicts),
                "outcomes": {verdict.access_method_id: verdict.outcome for verdict in verdicts},
            }
        )

    @staticmethod
    def _say(about: Mapping[str, Any]) -> None:
        click.echo(json.dumps(about))


class People(Teller):
    """Lines of at most 80 columns, in colours on a terminal; there a progress line is written over."""

    def __init__(self) -> None:
        self._clock = Clock()
        self._is_terminal = sys.stdout.isatty()
        self._over: tuple[str, str | None] | None = None
        self._halves: dict[str, int] = {}
        self._methods: set[str] = set()

    def broker(
        self, name: str, address: Address | None, topics: Topics, cards: Path, *, kept: bool, control: Path
    ) -> None:
        """See `Teller`."""
        if address:
            at = f"-h {address.host} -p {address.port}"
            at += f" -u {address.username} -P ..." if address.username else ""
            at += f" --cafile {address.ca_file or '...'}" if address.tls else ""
            version = f"MQTT {address.protocol}"
            self._line(f"{click.style('Broker', bold=True)}  {name} at {address}, {version}. Watch it from elsewhere:")
            self._line(f"  mosquitto_sub {at} -v -t '{topics.root}/#'")
            self._line("and ask for a card of your own (with new ids for every card):")
            self._line(f"  mosquitto_pub {at} -q 1 \\")
            self._line(f"    -t {topics.trigger} -m '{{")
            self._line('    "event_type": "access_method.card_encoding_required",')
            self._line('    "event_id": "event-1", "access_method_id": "method-1"}\'')
        else:
            self._line(f"{click.style('Broker', bold=True)}  {name}")
        self._line(f"{click.style('Cards', bold=True)}   {cards}")
        if not kept:
            self._line("        removed at the end; --card-stock FOLDER keeps them")
        self._line(f"{click.style('Control', bold=True)} encoder-bridge watch --socket {control}")
        self._line("")

    def step(self, step: Step) -> None:
        """See `Teller`."""
        offset = self._clock()
        if step.kind == "stopping" and self._is_terminal:
            self._line("")  # after the terminal's own ^C
        is_progress = step.kind == "writing"
        if is_progress and not self._is_terminal and not self._is_due(step):
            return
        method = self._method(step)
        head = f"{offset:7.2f} s  {step.who:<9} "
        lines = _wrapped(step.sentence, _WIDTH - len(head), len(method))
        text = ("\n" + " " * len(head)).join(click.style(line, **_COLOURS[step.tone]) for line in lines)
        text = click.style(head, dim=True) + text + click.style(method, dim=True)
        key = (step.who, step.access_method_id)
        if self._is_terminal and is_progress:
            click.echo(("\r" if self._over == key else self._broken()) + text, nl=False)
            self._over = key
        else:
            self._line(text)

    def summary(self, verdicts: Sequence[Verdict]) -> None:
        """See `Teller`."""
        self._line("")
        if len(verdicts) == 1 and verdicts[0].end:
            self._line("The report, as it was told:")
            for line in _packed(verdicts[0].end.report):
                self._line(line)
            self._line("")
        for verdict in verdicts:
            if not verdict.is_issued:
                right = ", as it has to be" if verdict.is_right else ""
                sentence = f"is_issued: false{right} ({verdict.outcome})"
                name = "" if len(verdicts) == 1 else f"  {_short(verdict.access_method_id)}"
                self._line(click.style(sentence + name, fg="green" if verdict.is_right else "red", bold=True))
        if issued := sum(verdict.is_issued for verdict in verdicts):
            count = "" if len(verdicts) == 1 else f" for {issued} of {len(verdicts)} access methods"
            self._line(click.style(f"is_issued: true{count}", fg="green", bold=True))
        elif not verdicts:
            self._line("Nothing was asked for.")

    def _method(self, step: Step) -> str:
        """What tells the step's access method from others, where there are any."""
        method = step.access_method_id
        if method is None:
            return ""
        self._methods.add(method)
        return f"  {_short(method)}" if len(self._methods) > 1 or step.who == "trigger" else ""

    def _line(self, text: str) -> None:
        click.echo(self._broken() + text)

    def _broken(self) -> str:
        """What has to be written first where a progress line stands."""
        broken, self._over = ("\n" if self._over else ""), None
        return broken

    def _is_due(self, step: Step) -> bool:
        """Whether a progress is told that is never written over: the first, and each half."""
        done, total = int(step.facts["done"]), int(step.facts["total"])
        half = 2 * done // total
        is_due = done == 1 or half != self._halves.get(step.who)
        self._halves[step.who] = half
        return is_due


def _short(identifier: str) -> str:
    return identifier if len(identifier) <= _SHORT_ID + 4 else f"{identifier[:_SHORT_ID]}…"


def _wrapped(text: str, width: int, last: int) -> list[str]:
    """The text in lines of at most `width`, the last with room for `last` more; nothing in it can steer a terminal."""
    lines = [""]
    for word in "".join(letter if letter.isprintable() else "?" for letter in text).split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    if len(lines[-1]) + last > width:
        lines.append("")
    return lines


def _packed(table: Mapping[str, Any], indent: str = "") -> list[str]:
    """A JSON object with as many members in a line as fit."""
    lines, rest = ["{"], len(table)
    for key, value in table.items():
        rest -= 1
        end = "," if rest else ""
        member = f"{json.dumps(key)}: {json.dumps(value)}{end}"
        if len(lines) > 1 and len(lines[-1]) + 1 + len(member) <= _WIDTH:
            lines[-1] += f" {member}"
        elif isinstance(value, dict) and len(indent) + 2 + len(member) > _WIDTH:
            first, *others, last = _packed(value, f"{indent}  ")
            lines += [
                f"{indent}  {json.dumps(key)}: {first}",
                *(other.removeprefix(" ") for other in others),
                last + end,
            ]
        else:
            lines.append(f"{indent}  {member}")
    return [*lines, f"{indent}}}"]
