"""The configuration's tables.  The sentence under each key is its documentation and part of the JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from encoder_bridge.config.values import (
    ClientId,
    File,
    Host,
    PublicKey,
    Seconds,
    SecretFile,
    TopicBase,
    TopicFilter,
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
    hand_over_s: Annotated[int, Field(ge=5, le=86_400)] = 30
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
    """Seconds that a message may have been signed before, or after, the desk's now; a repetition is known by its id."""


class RequesterSettings(Table):
    """Somebody who signs messages."""

    algorithm: Literal["ed25519", "hmac-sha256"]
    """How the messages are signed."""
    public_key: PublicKey | None = None
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
    """Days for which ended jobs, their attempts and the ids of messages are kept; the job of a card that still opens
    doors is kept for longer."""


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


class ProfileSettings(Table):
    """What goes onto a card, and where on which technology.  Its keys are checked by the drivers that write cards."""

    model_config = ConfigDict(extra="allow")

    @property
    def settings(self) -> Mapping[str, object]:
        """The whole table."""
        return MappingProxyType(self.__pydantic_extra__ or {})

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        yield from ()


class LogSettings(Table):
    """The log, on standard error."""

    level: Literal["traffic", "debug", "info", "warning", "error"] = "info"
    """The least that is logged; `traffic` adds every message, with personal values hidden."""
    format: Literal["auto", "json", "text"] = "auto"
    """Form of a line: `auto` is JSON with priorities under systemd's journal and text elsewhere."""


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
