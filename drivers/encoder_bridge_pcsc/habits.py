"""What was found out about a reader while it is open."""

from __future__ import annotations

from dataclasses import dataclass, field

from encoder_bridge_pcsc.models import KeyForm, Model
from encoder_bridge_pcsc.native import Way


@dataclass(slots=True)
class Habits:
    """A reader's ways, as far as they are known."""

    model: Model
    key_form: KeyForm | None = None
    """The one that has opened a sector."""
    way: Way | None = None
    """The one that has read a known page."""
    has_no_way: bool = False
    used: set[tuple[KeyForm, int]] = field(default_factory=set)
    """The places where keys of ours may lie."""
