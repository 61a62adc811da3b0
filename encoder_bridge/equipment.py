"""From a table of the configuration to an encoder that can be served, whatever its driver does."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from encoder_bridge import plugins
from encoder_bridge.config import Settings
from encoder_bridge.driver import PORT, Device, DeviceUnavailable, Driver, Found, Secret, SettingsRejected
from encoder_bridge.driver import Settings as DriverSettings
from encoder_bridge.errors import BridgeError, ConfigError
from encoder_bridge.log import get_logger
from encoder_bridge.station import Equipment


class Unusable:
    """Stands in for a driver that could not be loaded, so that the other encoders work on.

    Args:
        sentence: why, and what to do.
    """

    port = PORT

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence

    def check(self, settings: DriverSettings, secret: Secret) -> None:
        """Accept anything: nothing is opened with it."""

    async def discover(self, settings: DriverSettings, secret: Secret) -> list[Found]:  # noqa: ARG002
        """Find nothing."""
        return []

    def open(self, settings: DriverSettings, secret: Secret) -> AbstractAsyncContextManager[Device]:  # noqa: ARG002
        """Refuse.

        Raises:
            DeviceUnavailable: always.
        """
        raise DeviceUnavailable(self._sentence, error_type="driver_not_usable")


def equip(settings: Settings, name: str) -> Equipment:
    """Load the driver of one encoder and have it judge its settings.

    Raises:
        ConfigError: it refuses them.
    """
    encoder = settings.encoders[name]
    loaded = plugins.load(encoder.driver)
    driver: Driver = loaded.driver or Unusable(loaded.sentence)
    if loaded.driver is None:
        get_logger("bridge").error("driver_not_usable", encoder=name, driver=encoder.driver, sentence=loaded.sentence)
    given = settings.driver_settings(name, driver)
    try:
        driver.check(given, settings.secret)
    except SettingsRejected as error:
        raise ConfigError(f"encoders.{name}: {error}") from None
    except BridgeError:
        raise
    except Exception:  # noqa: BLE001 - one driver that breaks leaves the other encoders alone
        get_logger("bridge").exception("driver_broke", encoder=name, driver=encoder.driver)
        driver = Unusable(f"The driver {encoder.driver!r} broke on its settings: see the log, or ask its vendor.")
    return Equipment(
        name=name,
        driver=driver,
        settings=given,
        secret=settings.secret,
        card_wait_s=settings.jobs.card_wait_s,
    )
