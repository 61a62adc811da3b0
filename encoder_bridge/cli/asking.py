"""Asking a bridge for something, and what its answer means for the command."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import click

from encoder_bridge.cli.client import ANSWER_S, Answer, Channel, sentence
from encoder_bridge.cli.command import Negative, say_json
from encoder_bridge.cli.words import ENDED, STATES, printable


def ask(channel: Channel, verb: str, body: Mapping[str, object], *, timeout_s: float | None = ANSWER_S) -> Answer:
    """Send one request under a new id.

    Args:
        channel: to whom.
        verb: what for.
        body: its fields; those that are None are left out.
        timeout_s: None where somebody has to lay down a card first.

    Raises:
        Unreachable: no bridge answers.
    """
    sent = {"id": uuid.uuid4().hex, **{key: value for key, value in body.items() if value is not None}}
    return channel.post(f"/v1/requests/{verb}", sent, timeout_s=timeout_s)


def method_of(channel: Channel, which: str) -> str:
    """The access method that is meant, by itself or by the number of its newest job.

    Raises:
        Negative: there is no such job, or not the newest.
    """
    found = channel.jobs_of(which)
    if not found:
        raise unknown(which)
    method = str(found[0]["access_method_id"])
    if any(job["access_method_id"] == which for job in found):
        return which
    newest = channel.jobs_of(method)[0]
    if found[0]["state"] in ENDED and newest["job_id"] != found[0]["job_id"]:
        ended = f"Job {which} {STATES[found[0]['state']]}"
        raise Negative(f"{ended}; the newest of {printable(method)} is {newest['job_id']}: name that.")
    return method


def unknown(which: str) -> Negative:
    """What to say where there is no job."""
    return Negative(f"No job is known for {which!r}: check the id, or see 'encoder-bridge jobs list'.")


def encoder_of(channel: Channel, wanted: str | None) -> str:
    """The encoder that is meant: the one that is named, or the only one.

    Raises:
        click.UsageError: there is none of this name, or none was named where there are several.
    """
    names = [str(encoder["name"]) for encoder in channel.get("/v1/encoders").body["encoders"]]
    if wanted in names:
        return str(wanted)
    if wanted is not None:
        raise click.UsageError(f"There is no encoder {wanted!r}: use {' or '.join(names)}.")
    if len(names) != 1:
        raise click.UsageError(f"Say which encoder: --encoder {' or '.join(names)}.")
    return names[0]


def conclude(answer: Answer, *, as_json: bool, done: str | None = None) -> int:
    """Say what came of it.

    Args:
        answer: the bridge's.
        as_json: for programs, as it stands.
        done: what to say where it was done; where the job stands unless given.

    Returns:
        the command's exit code.

    Raises:
        Negative: it was not done.
    """
    if as_json:
        say_json(answer.body)
        return Negative.exit_code if answer.is_no else 0
    if answer.is_no:
        raise Negative(printable(answer.sentence))
    click.echo(done or standing(answer.body))
    return 0


def standing(body: dict[str, Any]) -> str:
    """Where the job of an answer stands, and why."""
    where = f"{body.get('access_method_id')} {STATES.get(str(body.get('state')), 'has no job')}."
    return printable(f"{where} {sentence(body.get('error') or {})}".strip())
