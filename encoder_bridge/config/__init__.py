"""The configuration: one TOML file plus the environment, checked as a whole before anything starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from encoder_bridge.config.complaints import complain
from encoder_bridge.config.masking import masked
from encoder_bridge.config.model import Settings
from encoder_bridge.config.sources import gather
from encoder_bridge.config.tables import EncoderSettings, JobsSettings, LogSettings, MqttSettings
from encoder_bridge.errors import ConfigError

__all__ = ["EncoderSettings", "JobsSettings", "LogSettings", "MqttSettings", "Settings", "load", "masked"]


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read and check the configuration; no secret is read.

    Args:
        path: the file; None: the one that `ENCODER_BRIDGE_CONFIG` names, else
            `/etc/encoder-bridge/encoder-bridge.toml`.
        environ: variables that win over the file; `STATE_DIRECTORY` and `CREDENTIALS_DIRECTORY` are systemd's.

    Raises:
        ConfigError: one line for each finding.
    """
    sources = gather(path, environ)
    values = dict(sources.values)
    if state := environ.get("STATE_DIRECTORY"):
        values.setdefault("store", str(Path(state.partition(":")[0]) / "jobs.sqlite"))
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    context = {
        "folder": sources.file.absolute().parent if sources.file else None,
        "credentials": Path(credentials) if credentials else None,
    }
    try:
        settings = Settings.model_validate(values, context=context)
    except ValidationError as error:
        raise complain(error, sources) from None
    if os.path.isdir(settings.store):  # noqa: PTH112 - Path.is_dir() raises where this user may not look
        key = f"{sources.of(('store',))}: store"
        raise ConfigError(f"{key} {settings.store} is a folder: name a file in it, such as jobs.sqlite.")
    return settings
