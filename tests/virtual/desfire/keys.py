"""Commands about keys and who may do what: ChangeKey, GetKeyVersion, GetKeySettings, ChangeKeySettings."""

from __future__ import annotations

from collections.abc import Callable

from virtual.desfire.crypto import Kind
from virtual.desfire.memory import Fault, Key, Mode, Status
from virtual.desfire.messaging import Nobody
from virtual.desfire.state import Reply, State, Touch

FROZEN = 0xF
SAME_KEY = 0xE


class KeyCommands:
    def __init__(self, state: State) -> None:
        self._state = state
        self.commands: dict[int, Callable[[bytes], Reply]] = {
            0xC4: self._change_key,
            0x64: self._key_version,
            0x45: self._settings,
            0x54: self._change_settings,
        }

    def _change_key(self, payload: bytes) -> Reply:
        state, here = self._state, self._state.here
        if state.session.key_number is None:
            raise Fault(Status.AUTHENTICATION)
        if not payload:
            raise Fault(Status.LENGTH)
        kind, number = here.kind, payload[0]
        if not state.selected:  # the card's own key may change its kind
            if number & 0xC0 == 0xC0:
                raise Fault(Status.PARAMETER)
            kind, number = Kind(number & 0xC0), number & 0x3F
        if number >= len(here.keys):
            raise Fault(Status.NO_SUCH_KEY)
        self._may_change(number)
        is_own = number == state.session.key_number
        value, version = state.session.new_key(payload, kind, None if is_own else here.keys[number].value)
        here.keys[number] = Key(kind=kind, value=value, version=version)
        if not state.selected:
            here.kind = kind
        state.touched = Touch.KEY
        if is_own:
            state.session = Nobody()
        return state.answered()

    def _may_change(self, number: int) -> None:
        """Check the rights of the high nibble of the key settings."""
        here = self._state.here
        changer = here.settings >> 4 if self._state.selected else 0
        if number == 0:
            if not here.master_key_can_change:
                raise Fault(Status.PERMISSION_DENIED)
            needed = 0
        elif changer == FROZEN:
            raise Fault(Status.PERMISSION_DENIED)
        elif changer == SAME_KEY:
            needed = number
        else:
            needed = 0 if number == changer else changer
        if self._state.session.key_number != needed:
            raise Fault(Status.AUTHENTICATION)

    def _key_version(self, payload: bytes) -> Reply:
        (number,) = self._state.opened(0x64, payload, 1)
        if number >= len(self._state.here.keys):
            raise Fault(Status.NO_SUCH_KEY)
        return self._state.answered(bytes((self._state.here.keys[number].version,)))

    def _settings(self, payload: bytes) -> Reply:
        self._state.opened(0x45, payload, 0)
        here = self._state.here
        if not here.lists_freely:
            self._state.must_be_master()
        return self._state.answered(bytes((here.settings, len(here.keys) | here.kind.value)))

    def _change_settings(self, payload: bytes) -> Reply:
        self._state.must_be_master()
        here = self._state.here
        (settings,) = self._state.session.opened(0x54, payload, Mode.FULL, 0, 1)
        if not here.settings_can_change:
            raise Fault(Status.PERMISSION_DENIED)
        here.settings = settings
        self._state.touched = Touch.STRUCTURE
        return self._state.answered()
