from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner, Result

from encoder_bridge import sqlite, texts
from encoder_bridge.cli import COMMANDS, EXIT_CODES, cli
from encoder_bridge.errors import BridgeError

CONFIGURATION = """
site = "harbour-hotel"
desk = "front-desk"
time_zone = "Asia/Tokyo"
store = "jobs.sqlite"
[encoders.desk-1]
driver = "simulated"
stock = "/cards"
"""
NOON = 1_752_321_600_000  # 2025-07-12T12:00:00Z


@pytest.fixture(autouse=True)
def nobodys_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENCODER_BRIDGE_CONFIG", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "encoder-bridge.toml"
    file.write_text(CONFIGURATION)
    return file


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "jobs.sqlite", isolation_level=None)
    sqlite.prepare(connection)
    for job_id, (method, state, error) in enumerate(
        [
            ("am_1", "issued", None),
            ("am_2", "held", {"type": "profile_missing", "message": "Set jobs.default_profile."}),
            ("am_1", "queued", None),
        ],
        start=1,
    ):
        connection.execute(
            "INSERT INTO job (job_id, access_method_id, state, place, credential, origin, event_id, is_reissue,"
            " created_at, state_at, expires_at, encoder, receipt, error, card_uid)"
            " VALUES (?, ?, ?, 0, '{}', '{}', 'ev', 0, ?, ?, ?, ?, ?, ?, '04a1')",
            (
                job_id,
                method,
                state,
                NOON,
                NOON,
                NOON,
                "desk-1" if job_id == 1 else None,
                '{"evidence": "read_back", "card": {"technology": "x", "uid": "04a1"}, "note": {}}'
                if job_id == 1
                else None,
                json.dumps(error) if error else None,
            ),
        )
        connection.execute("INSERT INTO personal VALUES (?, ?)", (job_id, '{"guest": "Canary Guestmann"}'))
        connection.execute("INSERT INTO contents VALUES (?, ?)", (job_id, '{"key": "Canary"}'))
    connection.execute(
        "INSERT INTO attempt (job_id, attempt, at, what, encoder, card, detail)"
        " VALUES (1, 1, ?, 'issued', 'desk-1', '04a1', ?)",
        (NOON, '{"digest": "ab12"}'),
    )
    yield connection
    connection.close()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="encoder-bridge")


def start(*arguments: str | Path, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "encoder_bridge", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environ or {})},
        timeout=30,
    )


def errors(root: type[BridgeError]) -> Iterator[type[BridgeError]]:
    yield root
    for error in root.__subclasses__():
        yield from errors(error)


def test_the_program_says_its_version() -> None:
    done = start("--version")
    assert (done.returncode, done.stdout) == (0, f"encoder-bridge {version('encoder-bridge')}\n")


def test_help_names_every_command_and_every_exit_code() -> None:
    said = run("--help").output
    for command in COMMANDS:
        assert f"\n  {command} " in said
    for code, meaning in EXIT_CODES.items():
        assert f"{code:>2}  {meaning}" in said


def test_every_error_ends_in_a_documented_exit_code() -> None:
    assert {error.exit_code for error in errors(BridgeError)} <= EXIT_CODES.keys()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = run(command, "--help")
    assert done.exit_code == 0
    assert done.output.startswith(f"Usage: encoder-bridge {command}")


@pytest.mark.parametrize("arguments", [["nonsense"], ["jobs", "list", "--state", "x"], ["jobs", "show"], ["run", "-x"]])
def test_a_wrong_command_line_exits_with_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert not done.stdout
    assert "Error: " in done.stderr


def test_a_command_imports_no_other_and_nothing_of_the_terminal(file: Path) -> None:
    code = (
        "import sys; from encoder_bridge.cli import cli\n"
        f"try: cli(['config', 'show', '--config', {str(file)!r}])\n"
        "except SystemExit: pass\n"
        "others = {'rich', 'typer', 'structlog', 'aiohttp', 'aiomqtt', 'sqlite3', 'encoder_bridge.cli.jobs'}\n"
        "found = others & set(sys.modules)\n"
        "sys.exit(str(found) if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_config_check_says_that_all_is_well(file: Path) -> None:
    done = run("config", "check", "--config", file)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "The configuration is in order.\n", "")
    assert json.loads(run("config", "check", "--config", file, "--json").stdout) == {"is_valid": True, "findings": []}
    assert not Path("/cards").exists()
    assert not (file.parent / "jobs.sqlite").exists()


def test_config_check_tells_every_finding_in_a_line_of_its_own(file: Path) -> None:
    (file.parent / "open").write_text("canary-secret")
    (file.parent / "open").chmod(0o644)
    (file.parent / "broken.pem").write_text("canary-no-certificate")
    file.write_text(
        CONFIGURATION.replace('"jobs.sqlite"', '"nowhere/jobs.sqlite"')
        + 'latncy_s = 1\n[encoders.two]\ndriver = "simulatd"\n'
        + '[mqtt]\nusername = "u"\npassword_file = "missing"\ntls = true\nca_file = "broken.pem"\n'
        + 'cert_file = "gone.pem"\nkey_file = "gone.key"\n[secrets]\nvendor = "open"\n'
    )
    done = run("config", "check", "--config", file)
    assert done.exit_code == 78
    assert not done.stdout
    folder, missing = file.parent, "cannot be read (No such file or directory): put the secret there."
    unusable = "cannot be used (No such file or directory): give PEM, unlocked."
    assert done.stderr.splitlines() == [
        f"store: there is no folder {folder}/nowhere: make it or name another.",
        f"secrets.vendor: other users may read {folder}/open: run chmod 600 on it.",
        f"mqtt.password_file: the file {folder}/missing {missing}",
        f"mqtt.ca_file: {folder}/broken.pem cannot be used (no certificate in it): give PEM.",
        f"mqtt.cert_file: {folder}/gone.pem with {folder}/gone.key {unusable}",
        "encoders.desk-1: There is no setting 'latncy_s' here: did you mean 'latency_s'?",
        "encoders.two.driver: No driver 'simulatd' is installed: did you mean 'simulated'?",
    ]
    answer = json.loads(run("config", "check", "--config", file, "--json").stdout)
    assert answer == {"is_valid": False, "findings": done.stderr.splitlines()}


def test_config_check_tries_the_keys_and_makes_none(file: Path) -> None:
    (file.parent / "short").write_text("canary")
    (file.parent / "short").chmod(0o600)
    file.write_text(
        CONFIGURATION + '[requesters.pms]\nalgorithm = "ed25519"\npublic_key = "AAAA"\n[privacy]\nkey_file = "short"\n'
    )
    done = run("config", "check", "--config", file)
    assert done.exit_code == 78
    signer, key = done.stderr.splitlines()
    assert signer.startswith("requesters.pms: this is no public Ed25519 key")
    assert key.startswith(f"{file.parent}/short holds no key")
    assert "canary" not in done.stderr
    assert not list(file.parent.glob("*.key"))


def test_a_configuration_that_may_not_be_read_is_one_sentence(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    monkeypatch.setattr(Path, "read_bytes", forbidden)
    sentence = f"The configuration {file} cannot be read (Permission denied): let this user read it or name another."
    for arguments in (["config", "show"], ["jobs", "list"], ["run"]):
        done = run(*arguments, "--config", file)
        assert (done.exit_code, done.stderr) == (78, f"{sentence}\n")
    told = json.loads(run("config", "show", "--config", file, "--json").stdout)
    assert told == {"error": {"type": "config_error", "message": sentence, "exit_code": 78}}


def test_config_check_tells_what_does_not_fit_the_shape(file: Path) -> None:
    file.write_text(CONFIGURATION + "[mqtt]\nhsot = 'x'\n[jobs]\nmax_opn = 1\n")
    done = run("config", "check", "--config", file)
    assert done.exit_code == 78
    assert done.stderr.splitlines() == [
        f"{file}: mqtt.hsot is no key: did you mean mqtt.host?",
        f"{file}: jobs.max_opn is no key: did you mean jobs.max_open?",
    ]


def test_a_driver_that_fails_while_it_checks_is_a_finding(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(*_: object) -> None:
        raise ValueError("canary-s3cret")

    monkeypatch.setattr("encoder_bridge_simulated.SimulatedDriver.check", check)
    done = run("config", "check", "--config", file)
    assert done.exit_code == 78
    assert done.stderr == (
        "encoders.desk-1: the driver 'simulated' fails while it checks (ValueError: …): tell its vendor.\n"
    )


def test_config_show_masks_secrets_and_tells_where_the_environment_won(file: Path) -> None:
    file.write_text(
        CONFIGURATION + 'pin = "canary"\nserver = "https://u:canary@host/"\n[mqtt]\nhost = "file.example"\n'
    )
    environ = {"ENCODER_BRIDGE_MQTT__HOST": "environment.example"}
    text = start("config", "show", "--config", file, environ=environ)
    assert text.returncode == 0
    assert "canary" not in text.stdout
    assert 'mqtt.host = "environment.example"\n' in text.stdout
    assert 'encoders.desk-1.pin = "…"\n' in text.stdout
    assert "# jobs.default_profile is not set\n" in text.stdout
    shown = json.loads(run("config", "show", "--config", file, "--json").stdout)
    assert shown["encoders"]["desk-1"] == {
        "driver": "simulated",
        "stock": "/cards",
        "pin": "…",
        "server": "https://…@host/",
    }


def test_what_config_show_prints_survives_a_narrow_terminal(file: Path) -> None:
    file.write_text(CONFIGURATION + 'pin = "canary"\n')
    done = start("config", "show", "--config", file, environ={"PYTHONIOENCODING": "latin-1:strict"})
    assert done.returncode == 0
    assert 'encoders.desk-1.pin = "?"\n' in done.stdout


def test_drivers_are_listed_with_their_packages() -> None:
    assert f"simulated  usable        encoder-bridge {version('encoder-bridge')}\n" in run("drivers").stdout
    (simulated,) = [about for about in json.loads(run("drivers", "--json").stdout) if about["name"] == "simulated"]
    assert (simulated["status"], simulated["port"]) == ("usable", "1.0")


def test_jobs_are_listed_newest_first_in_the_propertys_zone(file: Path, store: sqlite3.Connection) -> None:
    done = run("jobs", "list", "--config", file)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        " job  since                state             access method  (times in Asia/Tokyo)",
        "   3  2025-07-12 21:00:00  queued            am_1",
        "   2  2025-07-12 21:00:00  held              am_2  Set jobs.default_profile.",
        "   1  2025-07-12 21:00:00  issued            am_1  on desk-1  card 04a1  read_back",
    ]
    held = json.loads(run("jobs", "list", "--config", file, "--state", "held", "--json").stdout)
    assert [job["job_id"] for job in held] == [2]
    assert held[0]["created_at"] == "2025-07-12T12:00:00.000Z"
    assert held[0]["error"] == {
        "type": "profile_missing",
        "message": "Set jobs.default_profile.",
        "clerk": texts.clerk("profile_missing"),
    }
    limited = json.loads(run("jobs", "list", "--config", file, "--limit", "1", "--json").stdout)
    assert [job["job_id"] for job in limited] == [3]
    assert run("jobs", "list", "--config", file, "--state", "expired").stdout == "There is no such job.\n"


def test_jobs_are_shown_with_every_attempt(file: Path, store: sqlite3.Connection) -> None:
    by_method = json.loads(run("jobs", "show", "--config", file, "am_1", "--json").stdout)
    assert [job["job_id"] for job in by_method] == [3, 1]
    (by_id,) = json.loads(run("jobs", "show", "--config", file, "1", "--json").stdout)
    assert by_id == by_method[1]
    assert (by_id["evidence"], by_id["card"]) == ("read_back", {"technology": "x", "uid": "04a1"})
    assert by_id["attempts"] == [
        {
            "attempt": 1,
            "at": "2025-07-12T12:00:00.000Z",
            "what": "issued",
            "encoder": "desk-1",
            "card": "04a1",
            "detail": {"digest": "ab12"},
            "requester": None,
            "operator": None,
        }
    ]
    text = run("jobs", "show", "--config", file, "1").stdout
    assert 'attempt 1  2025-07-12 21:00:00  issued  on desk-1  card 04a1  {"digest": "ab12"}\n' in text


def test_an_access_method_without_a_job_is_a_negative_result(file: Path, store: sqlite3.Connection) -> None:
    done = run("jobs", "show", "--config", file, "am_9")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "No job is known for 'am_9': check the id, or see 'encoder-bridge jobs list'.\n"


def test_jobs_show_no_personal_data(file: Path, store: sqlite3.Connection) -> None:
    for arguments in (["list"], ["list", "--json"], ["show", "am_1"], ["show", "am_1", "--json"]):
        assert "Canary" not in run("jobs", *arguments, "--config", file).output


def test_jobs_can_be_read_while_the_daemon_writes(file: Path, store: sqlite3.Connection) -> None:
    store.execute("BEGIN IMMEDIATE")
    store.execute("UPDATE job SET state = 'cancelled' WHERE job_id = 2")
    assert "held" in run("jobs", "list", "--config", file).stdout
    store.execute("COMMIT")
    assert "cancelled" in run("jobs", "list", "--config", file).stdout


def test_an_error_is_one_sentence_and_no_traceback(file: Path) -> None:
    done = start("jobs", "list", "--config", file)
    assert (done.returncode, done.stdout) == (74, "")
    assert done.stderr == (
        f"There is no store at {file.parent}/jobs.sqlite: start the daemon once, or name another with --config.\n"
    )


def test_an_error_is_an_object_for_programs(file: Path) -> None:
    done = run("jobs", "list", "--config", file, "--json")
    assert (done.exit_code, done.stderr) == (74, "")
    assert json.loads(done.stdout) == {
        "error": {
            "type": "store_error",
            "message": f"There is no store at {file.parent}/jobs.sqlite: "
            "start the daemon once, or name another with --config.",
            "exit_code": 74,
        }
    }


def test_a_damaged_store_is_told(file: Path) -> None:
    (file.parent / "jobs.sqlite").write_bytes(b"no database" * 1000)
    done = run("jobs", "list", "--config", file)
    assert done.exit_code == 74
    assert "file is not a database" in done.stderr


def test_a_store_without_its_tables_is_told(file: Path) -> None:
    with closing(sqlite3.connect(file.parent / "jobs.sqlite")) as connection:
        connection.execute(f"PRAGMA user_version = {sqlite.SCHEMA_VERSION}")
    done = run("jobs", "list", "--config", file)
    assert done.exit_code == 74
    assert done.stderr.startswith(f"The store {file.parent}/jobs.sqlite cannot be read (no such table: job).")


def test_a_fault_of_this_program_is_logged_and_exits_with_70(file: Path) -> None:
    code = (
        "from encoder_bridge.cli import cli, jobs\n"
        "def broken(path): raise RuntimeError('canary')\n"
        f"jobs.open_for_reading = broken; cli(['jobs', 'list', '--config', {str(file)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (70, "")
    assert "this program has a fault" in done.stderr
    assert "RuntimeError: …" in done.stderr
    assert "canary" not in done.stderr


def test_a_reader_that_goes_away_ends_nothing_badly(file: Path, store: sqlite3.Connection) -> None:
    program = f"{sys.executable} -m encoder_bridge jobs list --json --config {file}"
    done = subprocess.run(["sh", "-c", f"{program} | true"], capture_output=True, text=True, check=False, timeout=30)
    assert "Traceback" not in done.stderr


def test_run_hands_the_settings_to_the_daemon(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    app = ModuleType("encoder_bridge.app")
    monkeypatch.setattr(app, "run", lambda settings: seen.append(settings.site), raising=False)
    monkeypatch.setitem(sys.modules, "encoder_bridge.app", app)
    monkeypatch.setattr("encoder_bridge.app", app, raising=False)
    monkeypatch.setattr("encoder_bridge.log.configure", lambda *chosen: seen.extend(chosen))
    assert run("run", "--config", file).exit_code == 0
    assert seen == ["info", "auto", "harbour-hotel"]


def test_run_refuses_a_wrong_configuration_with_78(file: Path) -> None:
    file.write_text("site = 3\n")
    done = start("run", "--config", file)
    assert done.returncode == 78
    assert done.stderr.splitlines()[0] == f"{file}: site is not text: put it in quotes."
    assert len(done.stderr.splitlines()) == 4


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(shell: str) -> None:
    said = run("completion", shell).stdout
    assert "_ENCODER_BRIDGE_COMPLETE" in said
    assert "encoder-bridge" in said


def test_completion_completes_commands() -> None:
    done = start(
        environ={"_ENCODER_BRIDGE_COMPLETE": "bash_complete", "COMP_WORDS": "encoder-bridge jo", "COMP_CWORD": "1"}
    )
    assert done.stdout == "plain,jobs\n"


def test_the_groups_commands_are_click_commands_with_a_sentence() -> None:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str()
