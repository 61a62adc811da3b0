"""`encoders --attached`: what the installed drivers find, with the lines that configure it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Sequence

import pytest
from click.testing import CliRunner, Result

from encoder_bridge import plugins
from encoder_bridge.cli import cli
from encoder_bridge.driver import DeviceUnavailable, Found, Secret, Settings
from encoder_bridge.plugins import LoadedDriver, LoadStatus

READER = Found(
    identity="ACME Reader 00",
    settings={"reader": 'ACME "Reader" 00', "slot": 1},
    about={"model": "ACR122U", "light": "no"},
)
CODER = Found(identity="SN-7", settings={})

Look = Callable[[], Sequence[Found]]


class Looks:
    """A driver that does nothing but look."""

    port = (1, 0)

    def __init__(self, look: Look) -> None:
        self._look = look

    async def discover(self, settings: Settings, secret: Secret) -> Sequence[Found]:
        assert not settings
        with pytest.raises(LookupError):
            secret("pin")
        return self._look()


def fails_with(error: BaseException) -> Look:
    def look() -> Sequence[Found]:
        raise error

    return look


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have these drivers installed and no others; None: one that cannot be loaded."""

    def install(**drivers: Look | None) -> None:
        loaded = [
            LoadedDriver(name=name, status=LoadStatus.USABLE, sentence="", driver=Looks(look))  # type: ignore[arg-type]
            if look
            else LoadedDriver(name=name, status=LoadStatus.LOAD_ERROR, sentence=f"{name} cannot be loaded.")
            for name, look in drivers.items()
        ]
        monkeypatch.setattr(plugins, "load_all", lambda: loaded)

    return install


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["encoders", "--attached", *arguments], prog_name="encoder-bridge")


def test_devices_are_listed_with_what_they_can_do_and_the_lines_that_configure_them(
    installed: Callable[..., None],
) -> None:
    installed(acme=lambda: [READER, CODER], empty=lambda: ())
    done = run()
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "ACME Reader 00",
        "  model: ACR122U",
        "  light: no",
        "  [encoders.NAME]",
        '  driver = "acme"',
        '  reader = "ACME \\"Reader\\" 00"',
        "  slot = 1",
        "SN-7",
        "  [encoders.NAME]",
        '  driver = "acme"',
    ]
    lines = done.stdout.splitlines()
    assert tomllib.loads("\n".join(lines[3:7])) == {"encoders": {"NAME": {"driver": "acme", **READER.settings}}}


def test_programs_are_told_the_same(installed: Callable[..., None]) -> None:
    installed(acme=lambda: [READER], other=lambda: [CODER])
    done = run("--json")
    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [
        {"driver": "acme", "identity": READER.identity, "settings": READER.settings, "about": READER.about},
        {"driver": "other", "identity": "SN-7", "settings": {}, "about": {}},
    ]


def test_where_nothing_is_plugged_in_that_is_said(installed: Callable[..., None]) -> None:
    installed(acme=lambda: ())
    done = run()
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "Nothing is plugged in that an installed driver knows.\n"
    assert run("--json").stdout == "[]\n"


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (
            fails_with(DeviceUnavailable("No PC/SC service runs: start pcscd.")),
            "bad: No PC/SC service runs: start pcscd.",
        ),
        (fails_with(TypeError("no such thing")), "bad: the driver fails while it looks (TypeError: no such thing)"),
        (fails_with(ValueError("Ada Guestmann")), "bad: the driver fails while it looks (ValueError: …)"),
        (lambda: None, "bad: the driver fails while it looks (TypeError"),
        (None, "bad cannot be loaded."),
    ],
    ids=["has a reason", "breaks", "breaks and talks", "returns nonsense", "cannot be loaded"],
)
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["people", "programs"])
def test_a_driver_that_cannot_look_leaves_the_others_alone(
    installed: Callable[..., None], bad: Look | None, sentence: str, options: list[str]
) -> None:
    installed(bad=bad, good=lambda: [CODER])
    done = run(*options)
    assert done.exit_code == 0
    assert done.stderr.startswith(sentence)
    assert "Ada" not in done.output
    assert "SN-7" in done.stdout


def test_what_a_device_says_of_itself_stays_in_its_line(installed: Callable[..., None]) -> None:
    installed(acme=lambda: [Found(identity="Reader\r\nNothing", settings={}, about={"model": "one\rtwo"})])
    told = run().stdout
    assert "\r" not in told
    assert len(told.splitlines()) == 4
