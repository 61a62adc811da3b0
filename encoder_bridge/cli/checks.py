"""What `config check` finds wrong beyond the configuration's shape; it touches no device, no broker and no store."""

from __future__ import annotations

import os
from collections.abc import Iterator

from encoder_bridge import plugins
from encoder_bridge.config import EncoderSettings, MqttSettings, Settings
from encoder_bridge.config.tls import tls_context
from encoder_bridge.driver import SettingsRejected
from encoder_bridge.errors import ConfigError
from encoder_bridge.keys import signatures_of
from encoder_bridge.sealing import parse_key
from encoder_bridge.tracebacks import brief


def findings(settings: Settings) -> Iterator[str]:
    """One sentence for each thing that would keep the daemon from working."""
    yield from _store(settings)
    yield from _secrets(settings)
    if settings.mqtt and settings.mqtt.tls:
        yield from _certificates(settings.mqtt)
    for name, encoder in settings.encoders.items():
        yield from _encoder(name, encoder, settings)


def _store(settings: Settings) -> Iterator[str]:
    folder = settings.store.parent
    if not folder.is_dir():
        yield f"store: there is no folder {folder}: make it or name another."
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield f"store: this user may not write to {folder}: run the check as the daemon's user, or change its owner."


def _secrets(settings: Settings) -> Iterator[str]:
    for name in settings.secrets:
        try:
            settings.secret(name)
        except ConfigError as error:
            yield str(error)
    for read in (settings.mqtt_password, lambda: signatures_of(settings), lambda: _key(settings)):
        try:
            read()
        except ConfigError as error:
            yield str(error)


def _key(settings: Settings) -> None:
    """Try the key of the store, if one is configured: the check makes none."""
    if path := settings.privacy.key_file:
        parse_key(settings.privacy_key(path), path)


def _certificates(mqtt: MqttSettings) -> Iterator[str]:
    try:
        tls_context(mqtt)
    except ConfigError as error:
        yield from str(error).splitlines()


def _encoder(name: str, encoder: EncoderSettings, settings: Settings) -> Iterator[str]:
    key = f"encoders.{name}"
    loaded = plugins.load(encoder.driver)
    if loaded.driver is None:
        yield f"{key}.driver: {loaded.sentence}"
        return
    try:
        loaded.driver.check(settings.driver_settings(name, loaded.driver), settings.secret)
    except (SettingsRejected, ConfigError) as error:
        yield f"{key}: {error}"
    except Exception as error:  # noqa: BLE001 - a driver's bug is a finding too
        yield f"{key}: the driver {encoder.driver!r} fails while it checks ({brief(error)}): tell its vendor."
