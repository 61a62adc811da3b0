"""The configuration as a whole.  The sentence under each key is its documentation and part of the JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from encoder_bridge.config import secret_files
from encoder_bridge.config.tables import (
    ControlSettings,
    EncoderSettings,
    JobsSettings,
    LogSettings,
    MqttSettings,
    PrivacySettings,
    ProfileSettings,
    RequesterSettings,
    RouteSettings,
    SigningSettings,
    Table,
)
from encoder_bridge.config.values import File, SecretFile, ZoneName, refuse
from encoder_bridge.driver import Driver, TakesProfiles
from encoder_bridge.wire import Name


class Settings(Table):
    """Everything that is configured.  It holds names of secrets' files, never a secret."""

    site: Name
    """Name of the property; a level of every topic."""
    desk: Name
    """Name of the desk, one of its own for every daemon of a property; a level of every topic."""
    time_zone: ZoneName
    """The property's time zone, such as "Europe/Berlin"; validity is shown and written in it."""
    store: File = Path("/var/lib/encoder-bridge/jobs.sqlite")
    """The database of jobs; under systemd `jobs.sqlite` in the state directory unless given."""
    mqtt: MqttSettings | None = None
    """The broker; without this table nothing is heard or told over MQTT."""
    jobs: JobsSettings = JobsSettings()
    """How cards come to be made."""
    clock: Literal["auto", "synchronized", "trusted"] = "auto"
    """When this machine's clock is believed; until then nothing is heard and no card is made.

    `synchronized`: once the kernel says so.  `trusted`: always.  `auto`: always on a machine with a clock of its own,
    once it is synchronized on one without."""
    encoders: Annotated[dict[Name, EncoderSettings], Field(min_length=1)]
    """The encoders on this desk, each under a name of its own."""
    profiles: dict[Name, ProfileSettings] = Field(default={})
    """Card profiles, each under the name that triggers use: what goes onto a card; see docs/cards.md."""
    routes: tuple[RouteSettings, ...] = ()
    """Which encoders make the cards of triggers that name none; the first that fits counts, one without conditions
    fits all.  Without any route every encoder makes every card; what fits no route waits to be claimed."""
    signing: SigningSettings = SigningSettings()
    """Signatures under incoming messages."""
    requesters: dict[Name, RequesterSettings] = Field(default={})
    """Those who sign messages, each under the name that the history shows."""
    control: ControlSettings = ControlSettings()
    """The control channel."""
    privacy: PrivacySettings = PrivacySettings()
    """What is kept of guests, and how."""
    secrets: dict[Name, SecretFile] = Field(default={})
    """Files with secrets, each under the name by which a driver asks for it.

    A bare file name is looked up among systemd's credentials where the service has any, every other relative path in
    the configuration's folder.  A trailing line break is not part of the secret."""
    log: LogSettings = LogSettings()
    """What is logged, and how."""

    _credentials: Path | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        """Keep where systemd's credentials lie: there, and nowhere else, file modes are systemd's business."""
        self._credentials = (context or {}).get("credentials")

    @field_validator("mqtt")
    @classmethod
    def _named_after_the_desk(cls, mqtt: MqttSettings | None, info: ValidationInfo) -> MqttSettings | None:
        if mqtt is None or mqtt.client_id or not {"site", "desk"} <= info.data.keys():
            return mqtt
        return mqtt.model_copy(update={"client_id": f"encoder-bridge-{info.data['site']}-{info.data['desk']}"})

    @field_validator("routes")
    @classmethod
    def _lead_somewhere(cls, routes: tuple[RouteSettings, ...], info: ValidationInfo) -> tuple[RouteSettings, ...]:
        encoders = info.data.get("encoders", {})
        for route in routes:
            for name in (*route.encoders, *route.backup):
                if encoders and name not in encoders:
                    refuse(f"lead to an encoder that is not configured: use {', '.join(sorted(encoders))}")
        return routes

    @model_validator(mode="after")
    def _can_be_signed(self) -> Self:
        if self.signing.required and not self.requesters:
            refuse("requires signatures without anybody to sign: add a table under requesters")
        return self

    @model_validator(mode="after")
    def _default_is_a_profile(self) -> Self:
        default = self.jobs.default_profile
        if self.profiles and default is not None and default not in self.profiles:
            refuse(f"has a jobs.default_profile that is no profile: use {', '.join(sorted(self.profiles))}")
        return self

    def driver_settings(self, encoder: str, driver: Driver) -> Mapping[str, object]:
        """What the driver of an encoder is given: the encoder's own keys, and the card profiles if it takes them."""
        own = self.encoders[encoder].settings
        if not isinstance(driver, TakesProfiles):
            return own
        return {**own, "profiles": {name: profile.settings for name, profile in self.profiles.items()}}

    @property
    def control_socket(self) -> Path:
        """Where the control channel listens."""
        return self.control.socket or self.store.with_name("control.sock")

    @property
    def zone(self) -> ZoneInfo:
        """`time_zone` for calculations."""
        return ZoneInfo(self.time_zone)

    @property
    def topic_root(self) -> str:
        """``<base>/<site>/<desk>``, where all topics begin; without a broker with the default base."""
        return f"{(self.mqtt or MqttSettings()).base}/{self.site}/{self.desk}"

    def secret(self, name: str) -> bytes:
        """Read a secret by its name in the configuration; what the driver port calls `Secret`.

        Raises:
            ConfigError: there is none of this name, or its file cannot be used.
        """
        return secret_files.read(f"secrets.{name}", secret_files.named(name, self.secrets), self._credentials)

    def privacy_key(self, path: Path) -> bytes:
        """Read what `path`, the key of the store, holds.

        Raises:
            ConfigError: the file cannot be used.
        """
        return secret_files.read("privacy.key_file", path, self._credentials)

    def requester_key(self, name: str) -> bytes:
        """Read the key that a requester shares with us.

        Raises:
            ConfigError: its file cannot be used.
        """
        path = self.requesters[name].key_file
        return secret_files.read(f"requesters.{name}.key_file", path, self._credentials) if path else b""

    def mqtt_password(self) -> bytes | None:
        """Read the password to log in to the broker with; None where none is configured.

        Raises:
            ConfigError: its file cannot be used.
        """
        if self.mqtt is None or self.mqtt.password_file is None:
            return None
        return secret_files.read("mqtt.password_file", self.mqtt.password_file, self._credentials)
