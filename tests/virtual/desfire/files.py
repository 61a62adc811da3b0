"""Commands about files and their data."""

from __future__ import annotations

from collections.abc import Callable

from virtual.desfire import frames
from virtual.desfire.memory import Fault, File, Mode, Status
from virtual.desfire.state import Reply, State, Touch

MOST_FILES = 32
FREE = 0xE
NEVER = 0xF
READ, WRITE, BOTH, CHANGE = 12, 8, 4, 0
"""Where the nibbles of the access rights lie."""


class FileCommands:
    def __init__(self, state: State) -> None:
        self._state = state
        self.commands: dict[int, Callable[[bytes], Reply]] = {
            0x6F: self._numbers,
            0xF5: self._settings,
            0x5F: self._change_settings,
            0xCD: lambda payload: self._create(0xCD, payload),
            0xCB: lambda payload: self._create(0xCB, payload),
            0xDF: self._delete,
            0x3D: lambda payload: self._write(0x3D, payload),
            0x8D: lambda payload: self._write(0x8D, payload),
            0xBD: lambda payload: self._read(0xBD, payload),
            0xAD: lambda payload: self._read(0xAD, payload),
            0xC7: self._commit,
            0xA7: self._abort,
        }

    def _numbers(self, payload: bytes) -> Reply:
        self._state.must_be_application()
        self._state.opened(0x6F, payload, 0)
        if not self._state.here.lists_freely:
            self._state.must_be_master()
        return self._state.answered(bytes(self._state.here.files))

    def _settings(self, payload: bytes) -> Reply:
        self._state.must_be_application()
        (number,) = self._state.opened(0xF5, payload, 1)
        if not self._state.here.lists_freely:
            self._state.must_be_master()
        return self._state.answered(self._file(number).settings())

    def _change_settings(self, payload: bytes) -> Reply:
        self._state.must_be_application()
        if not payload:
            raise Fault(Status.LENGTH)
        file = self._file(payload[0])
        changer = file.access >> CHANGE & 0xF
        if changer == NEVER:
            raise Fault(Status.PERMISSION_DENIED)
        if changer not in (FREE, self._state.session.key_number):
            raise Fault(Status.AUTHENTICATION)
        mode = Mode.PLAIN if changer == FREE else Mode.FULL
        data = self._state.session.opened(0x5F, payload, mode, 1, 3)[1:]
        if len(data) != 3:
            raise Fault(Status.LENGTH)
        file.mode, file.access = self._mode(data[0]), self._access(data[1:])
        self._state.touched = Touch.STRUCTURE
        return self._state.answered(b"", mode)

    def _create(self, command: int, payload: bytes) -> Reply:
        state = self._state
        state.must_be_application()
        parameters = state.opened(command, payload, 7, 9)
        if not state.here.creates_freely:
            state.must_be_master()
        number, rest = parameters[0], parameters[1:]
        if len(rest) == 8:  # with a file identifier of ISO/IEC 7816-4
            rest = rest[2:]
        size = int.from_bytes(rest[3:], "little")
        if number >= MOST_FILES or not size:
            raise Fault(Status.PARAMETER)
        mode, access = self._mode(rest[0]), self._access(rest[1:3])
        if number in state.here.files:
            raise Fault(Status.DUPLICATE)
        units = File(is_backup=command == 0xCB, mode=mode, access=access, data=b"")
        if size > state.memory.free:
            raise Fault(Status.OUT_OF_MEMORY)
        units.data = bytes(size)
        state.memory.take(units.cost())
        state.here.files[number] = units
        state.touched = Touch.STRUCTURE
        return state.answered()

    def _delete(self, payload: bytes) -> Reply:
        self._state.must_be_application()
        (number,) = self._state.opened(0xDF, payload, 1)
        if not self._state.here.creates_freely:
            self._state.must_be_master()
        self._file(number)
        del self._state.here.files[number]
        self._state.pending.pop(number, None)
        self._state.touched = Touch.STRUCTURE
        return self._state.answered()

    def _write(self, command: int, first: bytes) -> Reply:
        """Collect ``file offset[3] length[3] data`` from as many frames as the reader cuts it into."""
        state = self._state
        state.must_be_application()
        file, offset, length = self._extent(first)
        mode = self._mode_for(file, WRITE)
        if not length:
            raise Fault(Status.PARAMETER)
        whole = 7 + state.session.length(length, mode)

        def collect(payload: bytes) -> Reply:
            if len(payload) > whole:
                raise Fault(Status.LENGTH)
            if len(payload) == whole:
                data = state.session.opened(command, payload, mode, 7, length)[7:]
                self._put(first[0], offset, data)
                return state.answered(b"", mode)
            if command in frames.ISO_CHAINED:
                raise Fault(Status.LENGTH)
            if mode is Mode.PLAIN:
                self._put(first[0], offset, payload[7:])
            return Reply(status=Status.MORE, chain=go_on(payload))

        def go_on(payload: bytes) -> Callable[[bytes], Reply]:
            def take(more: bytes) -> Reply:
                if not more:
                    raise Fault(Status.LENGTH)
                return collect(payload + more)

            return take

        if offset + length > len(file.data):
            raise Fault(Status.BOUNDARY)
        return collect(first)

    def _put(self, number: int, offset: int, data: bytes) -> None:
        file = self._file(number)
        old = self._state.pending.get(number, file.data) if file.is_backup else file.data
        new = old[:offset] + data + old[offset + len(data) :]
        if file.is_backup:
            self._state.pending[number] = new
        else:
            file.data = new
            self._state.touched = Touch.DATA

    def _read(self, command: int, payload: bytes) -> Reply:
        state = self._state
        state.must_be_application()
        file, offset, length = self._extent(payload)
        mode = self._mode_for(file, READ)
        parameters = state.session.opened(command, payload, state.session.reading(mode))
        if len(parameters) != 7:
            raise Fault(Status.LENGTH)
        end = offset + length if length else len(file.data)
        if end > len(file.data) or offset >= len(file.data):
            raise Fault(Status.BOUNDARY)
        data = state.session.sealed(file.data[offset:end], mode, is_open_ended=not length)
        if command not in frames.ISO_CHAINED:
            return state.cut(data)
        if len(data) > 256:
            raise Fault(Status.LENGTH)
        return Reply(status=Status.OK, data=data)

    def _commit(self, payload: bytes) -> Reply:
        state = self._state
        state.must_be_application()
        option = state.opened(0xC7, payload, *((0, 1) if state.generation > 1 else (0,)))
        if option not in (b"", b"\0"):  # there is no transaction MAC file whose counter could be told
            raise Fault(Status.PARAMETER)
        if not state.pending:
            raise Fault(Status.NO_CHANGES)
        for number, data in state.pending.items():
            self._file(number).data = data
        state.pending = {}
        state.touched = Touch.COMMIT
        return state.answered()

    def _abort(self, payload: bytes) -> Reply:
        self._state.must_be_application()
        self._state.opened(0xA7, payload, 0)
        if not self._state.pending:
            raise Fault(Status.NO_CHANGES)
        self._state.pending = {}
        return self._state.answered()

    def _extent(self, payload: bytes) -> tuple[File, int, int]:
        if len(payload) < 7:
            raise Fault(Status.LENGTH)
        return (
            self._file(payload[0]),
            int.from_bytes(payload[1:4], "little"),
            int.from_bytes(payload[4:7], "little"),
        )

    def _file(self, number: int) -> File:
        try:
            return self._state.here.files[number]
        except KeyError:
            raise Fault(Status.NO_FILE) from None

    def _mode_for(self, file: File, nibble: int) -> Mode:
        """How its data travels: as the file says for who holds a key, plain for all where it is free."""
        allowed = {file.access >> nibble & 0xF, file.access >> BOTH & 0xF}
        if self._state.session.key_number in allowed:
            return file.mode
        if FREE in allowed:
            return Mode.PLAIN
        raise Fault(Status.PERMISSION_DENIED if allowed == {NEVER} else Status.AUTHENTICATION)

    def _mode(self, value: int) -> Mode:
        try:
            return Mode(value)
        except ValueError:
            raise Fault(Status.PARAMETER) from None

    def _access(self, value: bytes) -> int:
        access = int.from_bytes(value, "little")
        for nibble in (READ, WRITE, BOTH, CHANGE):
            key = access >> nibble & 0xF
            if key < FREE and key >= len(self._state.here.keys):
                raise Fault(Status.PARAMETER)
        return access
