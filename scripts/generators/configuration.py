"""docs/configuration.md: every key of the configuration with its meaning, default and unit."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from pydantic import BaseModel

from encoder_bridge.config import Settings
from encoder_bridge.config.tables import (
    ControlSettings,
    EncoderSettings,
    JobsSettings,
    LogSettings,
    MqttSettings,
    PrivacySettings,
    RequesterSettings,
    RouteSettings,
    SigningSettings,
)

_ENCODERS = """\
One table for each encoder, at least one; NAME is yours to choose. Every other key in it belongs to the driver: see the
driver's own documentation; that of the simulated one is in
[simulate.md](simulate.md#the-drivers-settings)."""
_ROUTES = """\
Which encoders make the cards of triggers that name none: one table for each rule, in order, and the first that fits
counts. One without conditions fits all. Without any route every encoder makes every card; with routes, what fits none
is held until somebody claims it ([desk.md](desk.md#which-card-and-where))."""
_SIGNING = """\
Signatures under incoming messages ([signing.md](signing.md)). A signature that is there is checked, required or not."""
_CONTROL = (
    "The control channel ([control.md](control.md)): HTTP on a Unix socket, for the command line and others here."
)
_TABLES: list[tuple[str, type[BaseModel], str]] = [
    ("[mqtt]", MqttSettings, "The broker. Without this table nothing is heard or told over MQTT."),
    ("[jobs]", JobsSettings, "How cards come to be made."),
    ("[encoders.NAME]", EncoderSettings, _ENCODERS),
    ("[[routes]]", RouteSettings, _ROUTES),
    ("[signing]", SigningSettings, _SIGNING),
    ("[requesters.NAME]", RequesterSettings, "Those who sign messages; NAME is what the history shows."),
    ("[control]", ControlSettings, _CONTROL),
    ("[privacy]", PrivacySettings, "What is kept of guests, and how ([desk.md](desk.md#privacy))."),
    ("[log]", LogSettings, "What is logged, and how."),
]
_TAKEN_FROM_ELSEWHERE = {
    ("mqtt", "port"): "1883, or 8883 with `tls`",
    ("mqtt", "client_id"): "`encoder-bridge-<site>-<desk>`",
    ("", "store"): "`jobs.sqlite` in the state directory, else `/var/lib/encoder-bridge/jobs.sqlite`",
    ("control", "socket"): "`control.sock` beside the store",
    ("privacy", "key_file"): "`jobs.key` beside the store `jobs.sqlite`, and so on",
}
_UNITS = {"_s": "seconds", "_days": "days"}

_HEAD = """\
# Configuration

<!-- Made from the code by scripts/generate. -->

`encoder-bridge` reads one TOML file: the one that `--config` names, else the one that the variable
`ENCODER_BRIDGE_CONFIG` names, else `/etc/encoder-bridge/encoder-bridge.toml`.
[encoder-bridge.toml](encoder-bridge.toml) is an example to start from. `encoder-bridge config check` judges a
configuration without touching a device; `encoder-bridge config show` prints every setting that is in force, secrets
masked. An unknown key is refused, with the nearest valid name.

**Environment.** A variable wins over the file. Its name is `ENCODER_BRIDGE_` and the key in capitals, with two
underscores between table and key: `ENCODER_BRIDGE_MQTT__HOST=broker.example.com`. Lists and tables are written as
JSON and replace the file's; `ENCODER_BRIDGE_ROUTES` is a list of tables. In
`ENCODER_BRIDGE_ENCODERS__DESK_1__DRIVER`, `DESK_1` also means an encoder that the file calls `desk-1`; the same goes
for requesters and secrets. With one underscore too few (`ENCODER_BRIDGE_MQTT_HOST`) it is refused; other variables that
begin with `ENCODER_BRIDGE_` and resemble no key are left alone. Without any file the environment alone is enough.

**Kinds.** In the file a number is written without quotes, and `true` and `false` as well: `port = "1883"` and
`tls = "no"` are refused. A variable is text; it becomes what its key holds.

**Paths.** A relative path starts at the folder of the configuration's file. Only a driver's own keys are handed to the
driver as they stand: what a relative path means there is the driver's business.

**Secrets** stand in files, never in the configuration, the environment or on a command line. A bare file name
(`vendor-key`) is looked up among systemd's credentials (`LoadCredential=`) where the service has any, else beside the
configuration's file. Outside systemd's credentials a file that other users can reach is refused: `chmod 600`. One
trailing line break is not part of the secret.
"""


def configuration() -> str:
    """The whole page."""
    tables = {heading.strip("[]").partition(".")[0] for heading, _, _ in _TABLES}
    parts = [_HEAD, "## Top of the file\n", *_rows("", Settings, leave_out=tables)]
    for heading, model, about in _TABLES:
        parts += [f"\n## {heading}\n", f"{about}\n", *_rows(heading.strip("[]"), model)]
    return "\n".join(parts) + "\n"


def _rows(table: str, model: type[BaseModel], leave_out: Collection[str] = ()) -> Iterator[str]:
    schema = model.model_json_schema()
    yield "| key | kind | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for key, about in schema["properties"].items():
        if key in leave_out:
            continue
        default = _default(table, key, about, required=key in schema.get("required", []))
        meaning = " ".join(about["description"].split()).replace("|", "\\|")
        yield f"| `{key}` | {_kind(key, about)} | {default} | {meaning} |"


def _default(table: str, key: str, about: dict[str, Any], *, required: bool) -> str:
    if required:
        return "**required**"
    if (table, key) in _TAKEN_FROM_ELSEWHERE:
        return _TAKEN_FROM_ELSEWHERE[table, key]
    value = about.get("default")
    return "none" if value is None else f"`{json.dumps(value)}`"


def _kind(key: str, about: dict[str, Any]) -> str:
    for alternative in about.get("anyOf", []):
        if alternative != {"type": "null"}:
            return _kind(key, alternative)
    if "enum" in about:
        return " or ".join(f'`"{value}"`' for value in about["enum"])
    if about.get("format") == "path":
        return "path"
    if about["type"] == "object":
        (below,) = about["patternProperties"].values()
        what = "paths" if below.get("format") == "path" else "tables"
        return f"table of {what}, each under a name"
    if about["type"] == "array":
        return "list of texts"
    kind = {"boolean": "`true` or `false`", "integer": "whole number", "number": "number", "string": "text"}[
        about["type"]
    ]
    unit = next((f", {unit}" for suffix, unit in _UNITS.items() if key.endswith(suffix)), "")
    return kind + unit + _range(about)


def _range(about: dict[str, Any]) -> str:
    least, most = about.get("minimum"), about.get("maximum")
    if "exclusiveMinimum" in about:
        return f", above {about['exclusiveMinimum']:g}, at most {most:g}"
    if "pattern" in about and "maxLength" not in about:
        return " of letters, digits, `_`, `-`; at most 64"
    return f", {least} to {most}" if least is not None else ""
