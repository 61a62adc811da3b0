"""The socket itself."""

from __future__ import annotations

import os
import pwd
import socket
import stat
from pathlib import Path

import pytest

from control.rig import serving
from encoder_bridge.cli.client import _Connection
from encoder_bridge.control import door
from encoder_bridge.control.door import listening, peer_of
from encoder_bridge.errors import ConfigError


def test_the_socket_is_its_owners_alone_and_goes_with_the_daemon(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        mode = running.path.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
    assert not running.path.exists()


def test_nobody_can_connect_before_the_mode_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c"
    chmod = Path.chmod

    def checked(self: Path, mode: int) -> None:
        with socket.socket(socket.AF_UNIX) as early, pytest.raises(ConnectionRefusedError):
            early.connect(str(path))
        chmod(self, mode)

    monkeypatch.setattr(Path, "chmod", checked)
    with listening(path), socket.socket(socket.AF_UNIX) as late:
        late.connect(str(path))


def test_what_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    assert path.exists()
    with listening(path), socket.socket(socket.AF_UNIX) as visitor:
        visitor.connect(str(path))


def test_a_living_listener_is_not_pushed_aside(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    (tmp_path / "other").mkdir()
    with serving(tmp_path) as first:
        with pytest.raises(ConfigError, match="another bridge listens at"), serving(tmp_path / "other", path=path):
            pass
        assert first.ask("GET", "/v1/health")[0] == 200


def test_a_listener_with_a_full_queue_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c"
    monkeypatch.setattr(door, "_BACKLOG", 0)
    with listening(path), socket.socket(socket.AF_UNIX) as one:
        one.connect(str(path))
        with socket.socket(socket.AF_UNIX) as two:
            two.setblocking(False)
            with pytest.raises(BlockingIOError):
                two.connect(str(path))
            with pytest.raises(ConfigError, match="another bridge listens at"), listening(path):
                pass


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_text("precious")
    with pytest.raises(ConfigError, match=f"control.socket: {path} is no socket: "), listening(path):
        pass
    assert path.read_text() == "precious"


def test_a_socket_in_a_folder_however_deep_is_reached(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    path = folder / "c"
    with listening(path) as listener:
        client = _Connection(path, 5)
        client.connect()
        listener.accept()[0].close()
        client.close()
        with pytest.raises(ConfigError, match="another bridge listens"), listening(path):
            pass
    assert not path.exists()


def test_a_name_that_no_socket_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be used \(.*\): name another\."), listening(tmp_path / ("x" * 110)):
        pass


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "c"
    with pytest.raises(ConfigError) as refused, listening(path):
        pass
    assert str(refused.value) == f"control.socket: {path} cannot be used (No such file or directory): name another."


def test_a_socket_that_somebody_else_put_there_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with listening(path), socket.socket(socket.AF_UNIX) as other:
        path.unlink()
        other.bind(str(path))
    assert path.exists()


def nobody(user: int) -> None:
    raise KeyError(user)


def test_the_peer_has_its_users_name(monkeypatch: pytest.MonkeyPatch) -> None:
    door._name.cache_clear()
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        assert peer_of(left) == f"local:{pwd.getpwuid(os.getuid()).pw_name}"
        monkeypatch.setattr(pwd, "getpwuid", nobody)
        door._name.cache_clear()
        assert peer_of(left) == f"local:{os.getuid()}"
    door._name.cache_clear()
