"""Commands about the card and its applications."""

from __future__ import annotations

from collections.abc import Callable

from virtual.desfire.crypto import Kind
from virtual.desfire.memory import Application, Fault, Mode, Status
from virtual.desfire.state import Reply, State, Touch

MOST_APPLICATIONS = 28
HARDWARE_MAJOR = {1: 0x01, 2: 0x12, 3: 0x33}
SOFTWARE = {1: (1, 4), 2: (2, 1), 3: (3, 0)}
STORAGE = 0x1A
"""8 kilobytes."""
ISO = 0x05


class LevelCommands:
    def __init__(self, state: State) -> None:
        self._state = state
        self.commands: dict[int, Callable[[bytes], Reply]] = {
            0x5A: self._select,
            0x60: self._version,
            0x6A: self._identifiers,
            0x6E: self._free,
            0xCA: self._create,
            0xDA: self._delete,
            0xFC: self._format,
            0x51: self._uid,
            0x5C: self._configure,
        }

    def _select(self, payload: bytes) -> Reply:
        if len(payload) != 3:
            raise Fault(Status.LENGTH)
        aid = int.from_bytes(payload, "little")
        if aid and aid not in self._state.memory.applications:
            raise Fault(Status.NO_APPLICATION)
        self._state.select(aid)
        return Reply(status=Status.OK)

    def _version(self, payload: bytes) -> Reply:
        state = self._state
        state.opened(0x60, payload, 0)
        major, minor = SOFTWARE[state.generation]
        hardware = bytes((0x04, 0x01, 0x01, HARDWARE_MAJOR[state.generation], 0x00, STORAGE, ISO))
        software = bytes((0x04, 0x01, 0x01, major, minor, STORAGE, ISO))
        uid = bytes(7) if state.memory.random_id else state.uid
        sealed = state.session.sealed(hardware + software + uid + state.batch, state.session.default)

        def third(nothing: bytes) -> Reply:
            self._must_be_empty(nothing)
            return Reply(status=Status.OK, data=sealed[14:])

        def second(nothing: bytes) -> Reply:
            self._must_be_empty(nothing)
            return Reply(status=Status.MORE, data=sealed[7:14], chain=third)

        return Reply(status=Status.MORE, data=sealed[:7], chain=second)

    def _identifiers(self, payload: bytes) -> Reply:
        state = self._state
        state.must_be_card_level()
        state.opened(0x6A, payload, 0)
        if not state.here.lists_freely:
            state.must_be_master()
        aids = b"".join(aid.to_bytes(3, "little") for aid in state.memory.applications)
        return state.answered(aids)

    def _free(self, payload: bytes) -> Reply:
        self._state.opened(0x6E, payload, 0)
        return self._state.answered(self._state.memory.free.to_bytes(3, "little"))

    def _create(self, payload: bytes) -> Reply:
        state = self._state
        state.must_be_card_level()
        parameters = state.opened(0xCA, payload)
        if len(parameters) < 5:
            raise Fault(Status.LENGTH)
        if not state.here.creates_freely:
            state.must_be_master()
        aid, settings, kinds = int.from_bytes(parameters[:3], "little"), parameters[3], parameters[4]
        count, name = kinds & 0x0F, b""
        if kinds & 0x20:
            name = parameters[7:]
        has_right_length = 7 <= len(parameters) <= 23 if kinds & 0x20 else len(parameters) == 5
        if not has_right_length:
            raise Fault(Status.LENGTH)
        if not aid or not 1 <= count <= 14 or kinds & 0xC0 == 0xC0 or kinds & 0x10:
            raise Fault(Status.PARAMETER)
        memory = state.memory
        if aid in memory.applications or (name and any(one.name == name for one in memory.applications.values())):
            raise Fault(Status.DUPLICATE)
        if len(memory.applications) == MOST_APPLICATIONS:
            raise Fault(Status.COUNT)
        kind = Kind(kinds & 0xC0)
        application = Application(settings=settings, kind=kind, keys=memory.new_keys(kind, count), name=name)
        memory.take(application.cost())
        memory.applications[aid] = application
        state.touched = Touch.STRUCTURE
        return state.answered()

    def _delete(self, payload: bytes) -> Reply:
        """What it held is not given back before FormatPICC."""
        state = self._state
        aid = int.from_bytes(state.opened(0xDA, payload, 3), "little")
        if aid not in state.memory.applications:
            raise Fault(Status.NO_APPLICATION)
        if state.selected not in (0, aid):
            raise Fault(Status.PERMISSION_DENIED)
        if state.selected and not state.memory.card.creates_freely:
            raise Fault(Status.PERMISSION_DENIED)
        state.must_be_master()
        reply = state.answered()
        if state.selected:
            state.select(0)
        del state.memory.applications[aid]
        state.touched = Touch.STRUCTURE
        return reply

    def _format(self, payload: bytes) -> Reply:
        state = self._state
        state.must_be_card_level()
        state.opened(0xFC, payload, 0)
        state.must_be_master()
        if not state.memory.may_format:
            raise Fault(Status.PERMISSION_DENIED)
        state.memory.applications.clear()
        state.memory.free = state.memory.size
        state.touched = Touch.STRUCTURE
        return state.answered()

    def _uid(self, payload: bytes) -> Reply:
        self._state.opened(0x51, payload, 0)
        return self._state.answered(self._state.uid, Mode.FULL)

    def _configure(self, payload: bytes) -> Reply:
        """Act on ``00 flags``, ``01 key[24] version`` and, since EV2, ``0A on limit[2] decrement[2]``."""
        state = self._state
        state.must_be_card_level()
        state.must_be_master()
        lengths = {0x00: 1, 0x01: 25}
        if state.generation > 1:
            lengths[0x0A] = 5
        if not payload:
            raise Fault(Status.LENGTH)
        if payload[0] not in lengths:
            raise Fault(Status.PARAMETER)
        data = state.session.opened(0x5C, payload, Mode.FULL, 1, lengths[payload[0]])[1:]
        memory = state.memory
        if payload[0] == 0x00:
            memory.may_format = memory.may_format and not data[0] & 0x01
            memory.random_id = memory.random_id or bool(data[0] & 0x02)
        elif payload[0] == 0x01:
            memory.default_key, memory.default_version = data[:24], data[24]
        else:
            memory.is_limited = bool(data[0] & 0x01)
            memory.failure_limit = int.from_bytes(data[1:3], "little")
            memory.failure_decrement = int.from_bytes(data[3:5], "little")
        state.touched = Touch.STRUCTURE
        return state.answered()

    def _must_be_empty(self, data: bytes) -> None:
        if data:
            raise Fault(Status.LENGTH)
