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
from encoder_bridge.wire import Label, Name, Verb


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
    erase: bool = False
    """Let requests over MQTT blank cards; at the desk itself that is always possible."""

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
    cards_per_minute: Annotated[int, Field(ge=0, le=10_000)] = 20
    """Cards that one encoder starts in a minute at most, and one requester too; the others wait. 0: no limit."""
    hand_over_s: Seconds = 30
    """Seconds after which a route's `backup` encoders take over from encoders that are all offline."""
    sequence_window: Annotated[int, Field(ge=2, le=1_000_000)] | None = None
    """How many new cards a lock can skip before it knows the next one no more; the desk is warned before that."""


class RouteSettings(Table):
    """Which encoders make which cards.  Every condition that is given has to hold; `*` and `?` stand for any text."""

    entrances: tuple[Label, ...] = ()
    """The card opens one of these."""
    spaces: tuple[Label, ...] = ()
    """The trigger names one of these spaces."""
    acs_systems: tuple[Label, ...] = ()
    """The card belongs to one of these access systems."""
    requesters: tuple[Label, ...] = ()
    """One of these asks for it, as named under `requesters`."""
    encoders: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Any of these encoders makes it."""
    backup: tuple[Name, ...] = ()
    """These take over when all of `encoders` are offline for `jobs.hand_over_s`."""


class SigningSettings(Table):
    """Signatures under incoming messages."""

    required: bool = False
    """Refuse whatever arrives over MQTT without the signature of one of `requesters`."""
    window_s: Annotated[int, Field(ge=1, le=302_400)] = 86_400
    """Seconds for which a signed message is good; within them a repetition is recognised by its id."""


class RequesterSettings(Table):
    """Somebody who signs messages."""

    algorithm: Literal["ed25519", "hmac-sha256"]
    """How the messages are signed."""
    public_key: str | None = None
    """For ed25519: the public key, base64 of its 32 bytes or PEM."""
    key_file: SecretFile | None = None
    """For hmac-sha256: file with the shared key."""
    may: tuple[Verb, ...] = ("trigger", "cancel", "confirm", "retry", "claim", "job")
    """What may be asked for."""

    @model_validator(mode="after")
    def _has_its_key(self) -> Self:
        if (self.algorithm == "ed25519") != (self.public_key is not None) or (self.algorithm == "hmac-sha256") != (
            self.key_file is not None
        ):
            refuse("has the wrong key: give public_key for ed25519, key_file for hmac-sha256")
        return self


class ControlSettings(Table):
    """The control channel: HTTP on a Unix socket, for the command line and whatever runs on this machine."""

    socket: File | None = None
    """The socket; `control.sock` beside the store unless given.  Whoever may write to it may do everything."""


class PrivacySettings(Table):
    """What is kept of guests, and how."""

    key_file: SecretFile | None = None
    """File with 32 bytes (hex or base64) that guests' data and card contents are encrypted with in the store.

    Unless given, a key is made beside the store at the first start: a backup of the store alone tells nothing then, a
    stolen disk does.  A systemd credential bound to the machine protects that too."""
    keep_personal_days: Annotated[int, Field(ge=0, le=3650)] = 30
    """Days after the end of a job for which guests' data is kept."""
    keep_history_days: Annotated[int, Field(ge=7, le=3650)] = 90
    """Days for which ended jobs, their attempts and the ids of messages are kept."""


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
    clock: Literal["auto", "synchronized", "trusted"] = "auto"
    """When this machine's clock is believed; until then nothing is heard and no card is made.

    `synchronized`: once the kernel says so.  `trusted`: always.  `auto`: always on a machine with a clock of its own,
    once it is synchronized on one without."""
    encoders: Annotated[dict[Name, EncoderSettings], Field(min_length=1)]
    """The encoders on this desk, each under a name of its own."""
    routes: tuple[RouteSettings, ...] = ()
    """Which encoders make the cards of triggers that name none; the first that fits counts, one without conditions
    fits all.  Without any route every encoder makes every card; what fits no route waits to be claimed."""
    signing: SigningSettings = SigningSettings()
    """Signatures under incoming messages."""
    requesters: dict[Name, RequesterSettings] = {}
    """Those who sign messages, each under the name that the history shows."""
    control: ControlSettings = ControlSettings()
    """The control channel."""
    privacy: PrivacySettings = PrivacySettings()
    """What is kept of guests, and how."""
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


TABLES: Mapping[str, type[Table]] = MappingProxyType(
    {
        "mqtt": MqttSettings,
        "jobs": JobsSettings,
        "signing": SigningSettings,
        "control": ControlSettings,
        "privacy": PrivacySettings,
        "log": LogSettings,
    }
)
"""The tables whose keys are all known."""
