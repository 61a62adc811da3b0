"""A DESFire card in software: EV1, EV2 or EV3, ISO-wrapped frames and native ones."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Hashable

from encoder_bridge_cards.link import Activation, Family

from virtual.desfire import frames
from virtual.desfire.authentication import Authentication
from virtual.desfire.crypto import Kind
from virtual.desfire.files import FileCommands
from virtual.desfire.keys import KeyCommands
from virtual.desfire.levels import LevelCommands
from virtual.desfire.memory import Application, Fault, Key, Memory, Status
from virtual.desfire.state import Reply, State, Touch

UID = bytes.fromhex("04063F72633480")
BATCH = bytes.fromhex("BA4519E3204913")
"""Batch, week and year of a card whose log was published."""
CARD_NAME = bytes.fromhex("D2760000850100")


class Desfire:
    """Implements `virtual.card.VirtualCard`.

    Args:
        uid: its number, seven bytes.
        version: "ev1", "ev2" or "ev3".
        random_id: whether it gives a random number at every activation.
        free_memory: bytes for applications and files.

    What `interrupt` leaves behind is chosen by `commit_survives`, `key_survives` and `structure_survives`; a write to
    a standard file always leaves half of what it was to change.

    EV2 and EV3 answer AD to the next `state.delay` attempts with a key after `state.patience` failures in a row, and
    9D for ever once `memory.failure_limit` is reached.
    """

    atqa = bytes.fromhex("0344")
    sak = 0x20
    ats = bytes.fromhex("067577810280")

    def __init__(
        self, uid: bytes = UID, version: str = "ev1", random_id: bool = False, free_memory: int = 7936
    ) -> None:
        card = Application(settings=0x0F, kind=Kind.DES, keys=[])
        memory = Memory(free=free_memory, size=free_memory, card=card, random_id=random_id)
        card.keys = memory.new_keys(Kind.DES, 1)
        self.state = State(uid=uid, generation={"ev1": 1, "ev2": 2, "ev3": 3}[version], batch=BATCH, memory=memory)
        self.commit_survives = False
        self.key_survives = False
        self.structure_survives = False
        """Of creations, deletions, settings and configuration."""
        authentication = Authentication(self.state)
        self._commands: dict[int, Callable[[bytes], Reply]] = {
            **authentication.commands,
            **KeyCommands(self.state).commands,
            **LevelCommands(self.state).commands,
            **FileCommands(self.state).commands,
        }

    @property
    def memory(self) -> Memory:
        """What outlives a loss of power, to look at and to prepare."""
        return self.state.memory

    def set_master_key(self, key: bytes, version: int = 0) -> None:
        """Make it a card whose own master key is of AES."""
        self.memory.card.kind = Kind.AES
        self.memory.card.keys = [Key(kind=Kind.AES, value=key, version=version)]

    def add_application(self, aid: int, *keys: bytes, settings: int = 0x0F) -> Application:
        """Put an application with AES keys on it; files can be put into its `files`."""
        application = Application(
            settings=settings, kind=Kind.AES, keys=[Key(kind=Kind.AES, value=key) for key in keys]
        )
        self.memory.take(application.cost())
        self.memory.applications[aid] = application
        return application

    def use_randoms(self, *values: bytes) -> None:
        """Draw these as the next random numbers, then real ones again."""
        waiting = list(values)

        def draw(length: int) -> bytes:
            if not waiting:
                return secrets.token_bytes(length)
            value = waiting.pop(0)
            assert len(value) == length
            return value

        self.state.random = draw

    def activate(self) -> Activation:
        self.state.power_off()
        uid = self.state.uid
        if self.memory.random_id:
            uid = b"\x08" + self.state.random(3)
        return Activation(family=Family.ISO_DEP, uid=uid)

    def exchange(self, frame: bytes) -> bytes:
        if frame[:1] == b"\x00":
            return self._select_by_name(frame)
        if frame[:1] != b"\x90":
            reply = self._act(frame[0], frame[1:]) if frame else Reply(status=Status.ILLEGAL_COMMAND)
            return bytes((reply.status,)) + reply.data
        try:
            command, data = frames.unwrapped(frame)
        except Fault as fault:
            self.state.fail()
            return bytes((0x91, fault.status))
        reply = self._act(command, data)
        return reply.data + bytes((0x91, reply.status))

    def interrupt(self, frame: bytes) -> None:
        before = copy.deepcopy(self.memory)
        self.state.touched = None
        self.exchange(frame)
        survives = {
            Touch.COMMIT: self.commit_survives,
            Touch.KEY: self.key_survives,
            Touch.STRUCTURE: self.structure_survives,
        }
        touched = self.state.touched
        if touched is Touch.DATA:
            tear(before, self.memory)
        elif touched is not None and not survives[touched]:
            self.state.memory = before
        self.state.power_off()

    def snapshot(self) -> Hashable:
        return self.memory.state()

    def _act(self, command: int, data: bytes) -> Reply:
        state = self.state
        try:
            if len(data) > state.longest(command):
                raise Fault(Status.LENGTH)
            chain, state.chain = state.chain, None
            if chain is not None:
                if command != frames.MORE:
                    raise Fault(Status.ABORTED)
                reply = chain(data)
            else:
                if command not in self._commands or (state.generation < 2 and command in frames.EV2_ONLY):
                    raise Fault(Status.ILLEGAL_COMMAND)
                reply = self._commands[command](data)
        except Fault as fault:
            state.fail()
            return Reply(status=fault.status)
        state.chain = reply.chain
        return reply

    def _select_by_name(self, frame: bytes) -> bytes:
        """ISO SELECT by the name of a DF: the card's own or one given when an application was created."""
        if frame[1:3] != b"\xa4\x04" or len(frame) < 5:
            return bytes.fromhex("6D00")
        name = frame[5 : 5 + frame[4]]
        aids = [aid for aid, application in self.memory.applications.items() if application.name == name]
        if name == CARD_NAME:
            aids = [0]
        if not aids or not name:
            return bytes.fromhex("6A82")
        self.state.select(aids[0])
        return bytes.fromhex("9000")


def tear(before: Memory, after: Memory) -> None:
    """Leave only the first half of what changed in each standard file."""
    for aid, application in after.applications.items():
        for number, file in application.files.items():
            old = before.applications[aid].files[number].data
            changed = [at for at, (one, other) in enumerate(zip(old, file.data, strict=True)) if one != other]
            if changed:
                middle = (changed[0] + changed[-1] + 1) // 2
                file.data = file.data[:middle] + old[middle:]
