"""What can go wrong with a simulated encoder.

Names are Seam's encode error types where one fits.  Every error that a fault raises carries the fault's name as `raw`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

from encoder_bridge.driver import (
    CardRejected,
    CredentialRejected,
    DeviceUnavailable,
    DriverError,
    NoCard,
    Unsure,
)


class Kind(Enum):
    """How a fault strikes; for those marked so, ``name@k`` strikes after k blocks instead of its own moment."""

    REFUSED = auto()
    """The error comes before anybody is asked for a card."""
    NO_CARD = auto()
    """Nobody lays a card, and the device gives up."""
    WRONG_CARD = auto()
    """Somebody lays a card that will not do, and lifts it after it was refused."""
    UNPLUGGED = auto()
    """The device is gone: while it waits for a card, or after k blocks."""
    LIFTED = auto()
    """The card is lifted after k blocks (half of them)."""
    STOPPED = auto()
    """The device stops after k blocks (half of them); the card stays."""
    HUNG = auto()
    """The device falls silent after k blocks (none)."""
    SPOILED = auto()
    """The device writes one block wrong, after k blocks (half of them), and says nothing."""
    IGNORED = auto()
    """The device writes nothing and says nothing."""
    SLOW = auto()
    """Each block takes ten times as long, and at least 10 ms."""
    REPLY_LOST = auto()
    """All blocks are written, but the device does not say so."""


AT_BLOCK = frozenset({Kind.UNPLUGGED, Kind.LIFTED, Kind.STOPPED, Kind.HUNG, Kind.SPOILED})
"""The kinds that may be written as ``name@k``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong once."""

    name: str
    kind: Kind
    does: str
    """One sentence for whoever picks a fault."""
    says: str
    """One sentence for the desk."""
    raises: type[DriverError]
    error_type: str | None = None
    at: int | None = None
    """Blocks written before it strikes; None: its own moment."""

    def error(self, raises: type[DriverError] | None = None) -> DriverError:
        """Return the error that this fault ends in, as another class where the moment asks for it."""
        return (raises or self.raises)(self.says, raw=self.name, error_type=self.error_type)

    def after(self, total: int) -> int:
        """Return how many of `total` blocks are written before it strikes."""
        if self.at is not None:
            return min(self.at, total)
        return 0 if self.kind is Kind.HUNG else total // 2


def _table(*faults: Fault) -> Mapping[str, Fault]:
    return MappingProxyType({fault.name: fault for fault in faults})


_ALL = _table(
    Fault(
        name="no_credential_on_encoder",
        kind=Kind.NO_CARD,
        does="Nobody lays a card in time.",
        says="No card was laid on the encoder: lay one on it and leave it there until the tick.",
        raises=NoCard,
    ),
    Fault(
        name="incompatible_card_format",
        kind=Kind.WRONG_CARD,
        does="Somebody lays a card of another technology.",
        says="This is the wrong kind of card: take one from the house's own stock.",
        raises=CardRejected,
    ),
    Fault(
        name="card_full",
        kind=Kind.WRONG_CARD,
        does="Somebody lays a card with too little room.",
        says="This card has no room for the credential: take another card.",
        raises=CardRejected,
    ),
    Fault(
        name="card_locked",
        kind=Kind.WRONG_CARD,
        does="Somebody lays a card that is locked against writing.",
        says="This card is locked against writing: take another card.",
        raises=CardRejected,
    ),
    Fault(
        name="encoding_interrupted",
        kind=Kind.LIFTED,
        does="The card is lifted after k blocks (half of them) and is torn.",
        says="The card was lifted too soon: do not hand it out, lay the same card down again.",
        raises=Unsure,
        error_type="encoding_interrupted",
    ),
    Fault(
        name="encoder_not_online",
        kind=Kind.UNPLUGGED,
        does="The encoder is unplugged before it writes, or after k blocks, and comes back after replug_s.",
        says="The encoder is off or unplugged: check its cable.",
        raises=DeviceUnavailable,
        error_type="encoder_not_online",
    ),
    Fault(
        name="bridge_disconnected",
        kind=Kind.REFUSED,
        does="The way to the access system is down before anything is written.",
        says="The access system cannot be reached: no card can be made here until it is back.",
        raises=DeviceUnavailable,
        error_type="bridge_disconnected",
    ),
    Fault(
        name="credential_cannot_be_reissued",
        kind=Kind.REFUSED,
        does="The access system refuses to issue the credential again.",
        says="This key was made already and cannot be made twice: ask for an additional key.",
        raises=CredentialRejected,
        error_type="credential_cannot_be_reissued",
    ),
    Fault(
        name="credential_deleted",
        kind=Kind.REFUSED,
        does="The credential was deleted in the access system.",
        says="This key was cancelled: do not make it, look at the booking again.",
        raises=CredentialRejected,
        error_type="credential_deleted",
    ),
    Fault(
        name="encoder_communication_timeout",
        kind=Kind.REPLY_LOST,
        does="All blocks are written, but the encoder's reply is lost.",
        says="The encoder did not answer: lay the same card down again to find out whether it was made.",
        raises=Unsure,
        error_type="encoder_communication_timeout",
    ),
    Fault(
        name="action_attempt_expired",
        kind=Kind.REPLY_LOST,
        does="All blocks are written, but the request ran out of time.",
        says="The request ran out of time: lay the same card down again to find out whether it was made.",
        raises=Unsure,
        error_type="action_attempt_expired",
    ),
    Fault(
        name="uncategorized_error",
        kind=Kind.STOPPED,
        does="The encoder stops after k blocks (half of them) for no known reason.",
        says="The encoder stopped midway: lay the same card down again.",
        raises=Unsure,
        error_type="uncategorized_error",
    ),
    Fault(
        name="verify_mismatch",
        kind=Kind.SPOILED,
        does="One block is written wrong, and the read-back finds it.",
        says="The card does not carry what was written: lay the same card down again.",
        raises=Unsure,
        error_type="uncategorized_error",
    ),
    Fault(
        name="write_ignored",
        kind=Kind.IGNORED,
        does="The encoder says that it wrote but wrote nothing, and the read-back finds it.",
        says="The card does not carry what was written: lay the same card down again.",
        raises=Unsure,
        error_type="uncategorized_error",
    ),
    Fault(
        name="slow",
        kind=Kind.SLOW,
        does="Every block takes ten times as long, and at least 10 ms.",
        says="The encoder is slow.",
        raises=Unsure,
    ),
    Fault(
        name="hung",
        kind=Kind.HUNG,
        does="The encoder falls silent after k blocks (none) until it is closed.",
        says="The encoder fell silent: lay the same card down again.",
        raises=Unsure,
        error_type="encoder_communication_timeout",
    ),
)

FAULTS: Mapping[str, str] = MappingProxyType({name: fault.does for name, fault in _ALL.items()})
"""Name of each fault and what it does, in one sentence."""

RANDOM = tuple(fault for fault in _ALL.values() if fault.kind is not Kind.HUNG)
"""The faults that may come unlisted."""


def fault(text: str) -> Fault:
    """Return the fault that ``name`` or ``name@k`` means.

    Raises:
        ValueError: there is no such fault, or it strikes at no block.
    """
    name, sign, block = text.partition("@")
    if name not in _ALL:
        raise ValueError(f"there is no fault {name!r}; there are {', '.join(_ALL)}")
    found = _ALL[name]
    if not sign:
        return found
    if found.kind not in AT_BLOCK:
        raise ValueError(f"the fault {name!r} strikes at no block")
    if not (block.isascii() and block.isdigit()):
        raise ValueError(f"{block!r} is no number of blocks")
    return dataclasses.replace(found, at=int(block))
