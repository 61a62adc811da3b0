"""Following one job on the terminal from its trigger to its end."""

from __future__ import annotations

import sys
from typing import Any

import click

from encoder_bridge.cli.asking import ask, standing
from encoder_bridge.cli.client import Answer, Event, Unreachable, sentence
from encoder_bridge.cli.command import Negative, say_json
from encoder_bridge.cli.reach import Reached
from encoder_bridge.cli.words import ENDED, EVIDENCE, STATES, bar, printable, prompt

_INTERRUPTED = 130


class Follower:
    """Asks for a card and tells a person what is to be done for it.

    Args:
        reached: the bridge.
        trigger: what to send.
        as_json: a program reads standard output: people are told on standard error.
    """

    def __init__(self, reached: Reached, trigger: dict[str, Any], *, as_json: bool) -> None:
        self._reached = reached
        self._channel = reached.channel
        self._trigger = trigger
        self._method = str(trigger["access_method_id"])
        self._as_json = as_json
        self._answer: Answer | None = None
        self._is_asked = False
        self._is_interrupted = False
        self._asked: dict[str, str | None] = {}
        self._is_half_a_line = False
        self._why: str | None = None

    def run(self) -> int:
        """Follow it.

        Returns:
            the command's exit code: 0 where the card was issued.

        Raises:
            Negative: the trigger was refused.
            Unreachable: a bridge of our own is not there any more.
        """
        while True:
            try:
                return self._end(self._follow())
            except KeyboardInterrupt:
                if self._is_interrupted or not self._is_asked or not self._take_off():
                    return self._leave()
                self._is_interrupted = True

    def _follow(self) -> dict[str, Any]:
        """The job as it ended, or as it is held."""
        for event in self._channel.changes():
            if event.kind == "lost":
                if self._reached.is_own:
                    raise Unreachable("The bridge has ended: see what it said, then ask again.")
                self._say("The bridge is gone. The job is safe; waiting for it to come back.")
            elif event.kind == "encoder":
                self._show(event.body)
            elif event.kind == "snapshot" or event.body.get("access_method_id") == self._method:
                job = self._look(event)
                if job is not None:
                    return job
        raise AssertionError("changes end never")

    def _look(self, event: Event) -> dict[str, Any] | None:
        """The job if there is nothing more to wait for, empty where there is none."""
        if self._answer is None:
            if event.kind != "snapshot":
                return None
            self._is_asked = True
            self._answer = self._channel.post("/v1/jobs", self._trigger)
            if self._answer.is_no and not self._as_json:
                raise Negative(printable(self._answer.sentence))
            if self._answer.is_no:
                return {}
            self._say(f"{self._method} is on disk.")
        if event.kind == "job" and event.body["state"] not in {*ENDED, "held"}:
            self._say_why_it_waits(event.body)
            return None
        newest = self._newest()
        if newest and newest["state"] not in {*ENDED, "held"}:
            return None
        return newest or {}

    def _say_why_it_waits(self, job: dict[str, Any]) -> None:
        why = sentence(job.get("error") or {}) if job["state"] == "queued" else None
        if why and why != self._why:
            self._say(why)
        self._why = why

    def _end(self, job: dict[str, Any]) -> int:
        state = job.get("state")
        if self._as_json:
            self._say_json(job)
        elif state is None:
            self._say("This asked for no card.")
        else:
            self._say(_told(self._method, job))
            for warning in job.get("warnings") or []:
                self._say(sentence(warning))
        if self._is_interrupted:
            return _INTERRUPTED
        return 0 if job.get("is_issued") else Negative.exit_code

    def _leave(self) -> int:
        """Go before the job has ended; a program is told where it stands."""
        if self._as_json:
            self._say_json(self._newest() if self._is_asked else None)
        return _INTERRUPTED

    def _newest(self) -> dict[str, Any] | None:
        return next(iter(self._channel.jobs_of(self._method)), None)

    def _say_json(self, job: dict[str, Any] | None) -> None:
        say_json({"response": self._answer.body if self._answer else None, "job": job or None})

    def _take_off(self) -> bool:
        """Cancel the job we made.

        Returns:
            whether there is an end to wait for.
        """
        if self._answer and self._answer.body.get("status") not in {"accepted", "held"}:
            return False
        if any(job["state"] == "unsure" for job in self._channel.jobs_of(self._method)):
            way_out = f"'encoder-bridge jobs resolve {self._method}'"
            self._say(f"Its card is in doubt and stays so: lay it down again, or see {way_out}.")
            return False
        answer = ask(self._channel, "cancel", {"access_method_id": self._method})
        error = answer.body.get("error") or {}
        if error.get("type") == "card_being_written":
            self._say("Its card is being written: waiting for the outcome. Interrupt again to go without it.")
            return True
        self._say(answer.sentence if answer.is_no else standing(answer.body))
        return False

    def _show(self, encoder: dict[str, Any]) -> None:
        name = encoder["name"]
        is_ours = encoder.get("access_method_id") == self._method
        asked = prompt(encoder) if is_ours else None
        if is_ours and encoder.get("error"):
            asked = " ".join(filter(None, (printable(sentence(encoder["error"])), asked)))
        if asked and asked != self._asked.get(name):
            self._say(asked)
        self._asked[name] = asked
        if is_ours and self._is_terminal and (shown := bar(encoder)):
            click.echo(f"\r{shown}", nl=False, err=self._as_json)
            self._is_half_a_line = True

    @property
    def _is_terminal(self) -> bool:
        return (sys.stderr if self._as_json else sys.stdout).isatty()

    def _say(self, text: str) -> None:
        start, self._is_half_a_line = "\n" if self._is_half_a_line else "", False
        click.echo(start + printable(text), err=self._as_json)


def _told(method: str, job: dict[str, Any]) -> str:
    parts = [f"{method} {STATES.get(job['state'], job['state'])}"]
    if job["state"] == "issued":
        card = (job.get("card") or {}).get("uid")
        parts += [f"card {card}" if card else "", f"on {job['encoder']}" if job["encoder"] else ""]
        parts.append(EVIDENCE.get(job.get("evidence") or "", ""))
    text = ", ".join(part for part in parts if part) + "."
    return f"{text} {sentence(job['error'])}" if job.get("error") else text
