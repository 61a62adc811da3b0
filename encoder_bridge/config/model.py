"""The configuration's shape.  The sentence under each key is its documentation and part of the JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from encoder_bridge.config import secret_files
from encoder_bridge.config.values import (
    ClientId,
    File,
    Host,
    Seconds,
    SecretFile,
    TopicBase,
    TopicFilter,
    ZoneName,
    of_its_kind,
    refuse,
)
from encoder_bridge.wire import Name


class Table(BaseModel):
    """A table of the configuration: nothing unknown gets in, nothing changes afterwards, no error quotes a value."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _of_its_kind(cls, value: object, info: ValidationInfo) -> object:
        return of_its_kind(cls.model_fields[str(info.field_name)].annotation, value)


class MqttSettings(Table):
    """The broker."""

    host: Host = "127.0.0.1"
    """Name or address of the broker."""
    tls: bool = False
    """Encrypt the connection and check the broker's certificate."""
    port: Annotated[int, Field(ge=1, le=65535)] = Field(
        default_factory=lambda checked: 8883 if checked.get("tls") else 1883,
    )
    """TCP port of the broker; 1883 unless given, 8883 with `tls`."""
    protocol: Literal["5", "3.1.1"] = "5"
    """Version of MQTT: "3.1.1" for brokers that speak no version 5, such as NATS."""
    client_id: ClientId = ""
    """Name of this session at the broker, different for every daemon; `encoder-bridge-<site>-<desk>` unless given."""
    username: str | None = None
    """Name to log in with."""
    password_file: SecretFile | None = None
    """File with the password to log in with."""
    ca_file: File | None = None
    """Certificates (PEM) to check the broker's against; the system's unless given."""
    cert_file: File | None = None
    """Certificate (PEM) to show to the broker."""
    key_file: SecretFile | None = None
    """Private key (PEM) of `cert_file`."""
    keepalive_s: Annotated[int, Field(ge=1, le=65535)] = 20
    """Seconds of silence after which the connection is tried."""
    session_expiry_s: Seconds = 604_800
    """Seconds for which the broker keeps messages for a daemon that is away (MQTT 5; others have their own rule)."""
    receive_maximum: Annotated[int, Field(ge=1, le=65535)] = 64
    """Messages that may be under way to the daemon without being acknowledged (MQTT 5)."""
    will_delay_s: Seconds = 15
    """Seconds after a lost connection until the broker tells that the desk is offline (MQTT 5; else at once)."""
    base: TopicBase = "encoder-bridge"
    """Beginning of all topics, which stand under `<base>/<site>/<desk>`."""
    trigger_topics: tuple[TopicFilter, ...] = ()
    """Topic filters to hear triggers on, besides `<base>/<site>/<desk>/trigger`."""
    reply_topics: tuple[TopicFilter, ...] = ()
    """Topic filters that a sender may ask for answers on, besides `<base>/<site>/<desk>/response/#`."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.tls:
            for key in ("ca_file", "cert_file", "key_file"):
                if getattr(self, key) is not None:
                    refuse(f"has {key} without effect: set tls = true or remove it")
        if (self.cert_file is None) != (self.key_file is None):
            refuse("has only one of cert_file and key_file: give both or none")
        if self.password_file is not None and self.username is None:
            refuse("has password_file without username: give both or none")
        return self


class JobsSettings(Table):
    """The making of cards."""

    max_open: Annotated[int, Field(ge=1, le=1_000_000)] = 500
    """Jobs that may be open at once; further triggers are refused with an answer."""
    card_wait_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = 90.0
    """Seconds to wait for a card before the next job is asked for."""
    default_profile: Name | None = None
    """Card profile of triggers that bring no credential; without it such jobs are held."""
    open_for_s: Annotated[int, Field(ge=1, le=315_360_000)] = 604_800
    """Seconds after which a job expires that has no end of its own."""


class EncoderSettings(Table):
    """One encoder.  All keys but `driver` are the driver's own and are checked by it."""

    model_config = ConfigDict(extra="allow")

    driver: Name
    """Name of the installed driver, as `encoder-bridge drivers` lists it."""

    @property
    def settings(self) -> Mapping[str, object]:
        """The driver's own keys."""
        return MappingProxyType(self.__pydantic_extra__ or {})

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        yield "driver", self.driver


class LogSettings(Table):
    """The log, on standard error."""

    level: Literal["traffic", "debug", "info", "warning", "error"] = "info"
    """The least that is logged; `traffic` adds every message, with personal values hidden."""
    format: Literal["auto", "json", "text"] = "auto"
    """Form of a line: `auto` is JSON with priorities under systemd's journal and text elsewhere."""


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
    encoders: Annotated[dict[Name, EncoderSettings], Field(min_length=1)]
    """The encoders on this desk, each under a name of its own."""
    secrets: dict[Name, SecretFile] = {}
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

    def mqtt_password(self) -> bytes | None:
        """Read the password to log in to the broker with; None where none is configured.

        Raises:
            ConfigError: its file cannot be used.
        """
        if self.mqtt is None or self.mqtt.password_file is None:
            return None
        return secret_files.read("mqtt.password_file", self.mqtt.password_file, self._credentials)


TABLES: Mapping[str, type[Table]] = MappingProxyType({"mqtt": MqttSettings, "jobs": JobsSettings, "log": LogSettings})
"""The tables whose keys are all known."""
