"""The live view: drawn anew on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import Any, Protocol

import click

from encoder_bridge.cli.client import Event, sentence
from encoder_bridge.cli.words import DOES, ENDED, STATES, bar, moment, printable, prompt

_UP, _CLEAR_DOWN = "\x1b[{}F", "\x1b[J"
_LOST = "The bridge is gone: waiting for it to come back."


class View(Protocol):
    """Shows a person what happens."""

    def note(self, event: Event) -> None:
        """Show one more thing."""


class Standing:
    """Everything that stands, as far as it was told."""

    def __init__(self) -> None:
        self.encoders: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.is_lost = False
        self._told: set[str] = set()
        self._is_complete = False

    def note(self, event: Event) -> None:
        """Take in what was told; what a whole snapshot leaves out is gone."""
        if event.kind == "lost":
            self.is_lost, self._is_complete = True, False
            self._told.clear()
            return
        self.is_lost = False
        if event.kind == "snapshot":
            if event.body.get("is_whole"):
                self.encoders = {name: body for name, body in self.encoders.items() if name in self._told}
                self.jobs = {method: body for method, body in self.jobs.items() if method in self._told}
            self._is_complete = True
        elif event.kind == "encoder":
            self._keep(self.encoders, event.body["name"], event.body)
        elif event.body["state"] in ENDED:
            self.jobs.pop(event.body["access_method_id"], None)
        else:
            self._keep(self.jobs, event.body["access_method_id"], event.body)

    def _keep(self, table: dict[str, dict[str, Any]], key: str, body: dict[str, Any]) -> None:
        table[key] = body
        if not self._is_complete:
            self._told.add(key)


class Screen:
    """On a terminal: one picture, drawn over itself.

    Args:
        zone: in which times are shown.
    """

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._standing = Standing()
        self._is_complete = False
        self._drawn = 0

    def note(self, event: Event) -> None:
        """See `View`."""
        self._standing.note(event)
        self._is_complete = self._is_complete or event.kind == "snapshot"
        if self._is_complete:
            self._draw()

    def _draw(self) -> None:
        width, height = shutil.get_terminal_size()
        lines = [printable(line)[: width - 1] for line in self._lines()]
        if len(lines) > height - 1:
            lines = [*lines[: height - 2], f"... and {len(lines) - height + 2} more"]
        back = _UP.format(self._drawn) if self._drawn else ""
        click.echo(back + _CLEAR_DOWN + "".join(f"{line}\n" for line in lines), nl=False, color=True)
        self._drawn = len(lines)

    def _lines(self) -> Iterator[str]:
        if self._standing.is_lost:
            yield _LOST
        for encoder in self._standing.encoders.values():
            yield "  ".join(_encoder(encoder))
        jobs = sorted(self._standing.jobs.values(), key=lambda job: str(job["since"]))
        yield f"{len(jobs)} open job{'' if len(jobs) == 1 else 's'}"
        for job in jobs:
            yield "  ".join((f"  {moment(job['since'], self._zone)}", *_job(job)))


class Lines:
    """In a file or a pipe: a line for each change, progress left out."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], str] = {}

    def note(self, event: Event) -> None:
        """See `View`."""
        if event.kind == "lost":
            self._say(_LOST)
        elif event.kind == "snapshot":
            return
        elif event.kind == "encoder":
            self._changed(("encoder", event.body["name"]), _encoder(event.body, with_bar=False))
        else:
            self._changed(("job", event.body["access_method_id"]), _job(event.body))

    def _changed(self, key: tuple[str, str], parts: tuple[str, ...]) -> None:
        text = "  ".join(parts)
        if self._last.get(key) != text:
            self._last[key] = text
            self._say(text)
        if key[0] == "job" and parts[1] in {STATES[state] for state in ENDED}:
            del self._last[key]

    @staticmethod
    def _say(text: str) -> None:
        click.echo(f"{datetime.now().astimezone():%H:%M:%S}  {printable(text)}")


def _encoder(encoder: dict[str, Any], *, with_bar: bool = True) -> tuple[str, ...]:
    parts = [f"{encoder['name']:<12}", DOES.get(encoder["state"], encoder["state"])]
    parts.append(encoder.get("access_method_id") or "")
    parts.append((bar(encoder) or "") if with_bar else "")
    parts.append(prompt(encoder) or "")
    parts.append(sentence(encoder.get("error") or {}))
    return tuple(part for part in parts if part)


def _job(job: dict[str, Any]) -> tuple[str, ...]:
    parts = [job["access_method_id"], STATES.get(job["state"], job["state"])]
    parts.append(f"on {job['encoder']}" if job.get("encoder") else "")
    parts.append(sentence(job.get("error") or {}))
    return tuple(part for part in parts if part)
