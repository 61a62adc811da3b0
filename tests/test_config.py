from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from encoder_bridge.config import EncoderSettings, Settings, load, masked
from encoder_bridge.errors import ConfigError
from encoder_bridge.redaction import without_secrets

SMALLEST = """
site = "harbour-hotel"
desk = "front-desk"
time_zone = "Europe/Berlin"
[encoders.desk-1]
driver = "simulated"
"""
PUBLIC_KEY = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
"""Of the first test in RFC 8032, 7.1."""


def written(folder: Path, text: str = SMALLEST) -> Path:
    file = folder / "encoder-bridge.toml"
    file.write_text(text)
    return file


def refusal(folder: Path, text: str = SMALLEST, environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(written(folder, text), environ or {})
    assert caught.value.exit_code == 78
    return str(caught.value)


def with_secret(folder: Path, contents: bytes, mode: int = 0o600) -> Settings:
    secret = folder / "vendor-key"
    secret.write_bytes(contents)
    secret.chmod(mode)
    return load(written(folder, SMALLEST + '[secrets]\nvendor = "vendor-key"\n'), {})


def test_the_smallest_configuration_has_every_default(tmp_path: Path) -> None:
    settings = load(written(tmp_path), {})
    assert settings.zone.key == "Europe/Berlin"
    assert settings.mqtt is None
    assert settings.store == Path("/var/lib/encoder-bridge/jobs.sqlite")
    assert (settings.jobs.max_open, settings.jobs.card_wait_s, settings.jobs.open_for_s) == (500, 90.0, 604_800)
    assert settings.encoders["desk-1"].driver == "simulated"
    assert settings.encoders["desk-1"].settings == {}
    assert (settings.log.level, settings.log.format) == ("info", "auto")
    assert (settings.clock, settings.routes, settings.requesters) == ("auto", (), {})
    assert (settings.jobs.cards_per_minute, settings.jobs.hand_over_s, settings.jobs.sequence_window) == (20, 30, None)
    assert (settings.signing.required, settings.signing.window_s) == (False, 86_400)
    assert (settings.privacy.keep_personal_days, settings.privacy.keep_history_days) == (30, 90)


def test_the_broker_has_defaults_that_depend_on_other_keys(tmp_path: Path) -> None:
    plain = load(written(tmp_path, SMALLEST + "[mqtt]\n"), {}).mqtt
    encrypted = load(written(tmp_path, SMALLEST + "[mqtt]\ntls = true\n"), {}).mqtt
    chosen = load(written(tmp_path, SMALLEST + '[mqtt]\ntls = true\nport = 443\nclient_id = "c"\n'), {}).mqtt
    assert plain
    assert encrypted
    assert chosen
    assert (plain.host, plain.port, plain.client_id) == ("127.0.0.1", 1883, "encoder-bridge-harbour-hotel-front-desk")
    assert encrypted.port == 8883
    assert (chosen.port, chosen.client_id) == (443, "c")


def test_an_encoders_other_keys_are_the_drivers_own(tmp_path: Path) -> None:
    file = written(tmp_path, SMALLEST + 'stock = "cards"\nlatency_s = 0.5\nsettings = 3\n')
    encoder = load(file, {}).encoders["desk-1"]
    assert encoder.settings == {"stock": "cards", "latency_s": 0.5, "settings": 3}
    assert EncoderSettings.model_validate({"driver": "x", "pin": "1234"}).settings == {"pin": "1234"}


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, SMALLEST + 'stock = "cards"\n[mqtt]\nhost = "a"\nkeepalive_s = 7\n')
    settings = load(
        file,
        {
            "ENCODER_BRIDGE_SITE": "other",
            "ENCODER_BRIDGE_MQTT__HOST": "b",
            "ENCODER_BRIDGE_MQTT__TLS": "true",
            "ENCODER_BRIDGE_MQTT__TRIGGER_TOPICS": '["seam/events", "pms/+"]',
            "ENCODER_BRIDGE_ENCODERS__DESK_1__STOCK": "elsewhere",
            "ENCODER_BRIDGE_ENCODERS__DESK_1__CARDS": "20",
            "ENCODER_BRIDGE_ENCODERS__SECOND__DRIVER": "acme",
        },
    )
    assert settings.site == "other"
    assert settings.mqtt
    assert (settings.mqtt.host, settings.mqtt.keepalive_s, settings.mqtt.port) == ("b", 7, 8883)
    assert settings.mqtt.trigger_topics == ("seam/events", "pms/+")
    assert settings.encoders["desk-1"].settings == {"stock": "elsewhere", "cards": 20}
    assert settings.encoders["second"].driver == "acme"


def test_the_environment_alone_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("encoder_bridge.config.sources.DEFAULT_FILE", tmp_path / "nothing.toml")
    environ = {
        "ENCODER_BRIDGE_SITE": "a",
        "ENCODER_BRIDGE_DESK": "b",
        "ENCODER_BRIDGE_TIME_ZONE": "UTC",
        "ENCODER_BRIDGE_ENCODERS": '{"one": {"driver": "simulated"}}',
    }
    assert load(None, environ).encoders["one"].driver == "simulated"
    with pytest.raises(ConfigError, match="the environment: desk is missing: give a name such as 'front-desk'"):
        load(None, {"ENCODER_BRIDGE_SITE": "a"})
    with pytest.raises(ConfigError, match=r"There is no configuration at .*nothing\.toml: .*--config"):
        load(None, {})


def test_the_environment_reaches_the_tables_of_the_desk(tmp_path: Path) -> None:
    file = written(tmp_path, SMALLEST + "[requesters.front-office]\nalgorithm = 'hmac-sha256'\nkey_file = 'key'\n")
    settings = load(
        file,
        {
            "ENCODER_BRIDGE_CLOCK": "synchronized",
            "ENCODER_BRIDGE_SIGNING__REQUIRED": "true",
            "ENCODER_BRIDGE_SIGNING__WINDOW_S": "600",
            "ENCODER_BRIDGE_REQUESTERS__PMS__ALGORITHM": "ed25519",
            "ENCODER_BRIDGE_REQUESTERS__PMS__PUBLIC_KEY": PUBLIC_KEY,
            "ENCODER_BRIDGE_REQUESTERS__PMS__MAY": '["trigger"]',
            "ENCODER_BRIDGE_REQUESTERS__FRONT_OFFICE__MAY": '["cancel"]',
            "ENCODER_BRIDGE_ROUTES": '[{"entrances": ["1*"], "encoders": ["desk-1"]}]',
            "ENCODER_BRIDGE_JOBS__SEQUENCE_WINDOW": "8",
            "ENCODER_BRIDGE_CONTROL__SOCKET": "/run/desk.sock",
            "ENCODER_BRIDGE_PRIVACY__KEEP_PERSONAL_DAYS": "0",
        },
    )
    assert (settings.clock, settings.signing.required, settings.signing.window_s) == ("synchronized", True, 600)
    assert set(settings.requesters) == {"pms", "front-office"}
    assert settings.requesters["pms"].public_key == PUBLIC_KEY
    assert (settings.requesters["pms"].may, settings.requesters["front-office"].may) == (("trigger",), ("cancel",))
    assert (settings.routes[0].entrances, settings.routes[0].encoders) == (("1*",), ("desk-1",))
    assert settings.jobs.sequence_window == 8
    assert settings.control_socket == Path("/run/desk.sock")
    assert settings.privacy.keep_personal_days == 0


def test_a_requester_that_the_environment_alone_names_needs_all_of_its_keys(tmp_path: Path) -> None:
    said = refusal(tmp_path, environ={"ENCODER_BRIDGE_REQUESTERS__PMS__MAY": '["trigger"]'})
    assert said.endswith("requesters.pms.algorithm is missing: give 'ed25519' or 'hmac-sha256'.")
    said = refusal(tmp_path, environ={"ENCODER_BRIDGE_REQUESTERS__PMS__ALGORITHM": "rsa"})
    assert said.startswith("ENCODER_BRIDGE_REQUESTERS__PMS__ALGORITHM: requesters.pms.algorithm is none of its values")
    said = refusal(tmp_path, environ={"ENCODER_BRIDGE_SIGNING__REQUIRED": "true"})
    assert said.endswith("requires signatures without anybody to sign: add a table under requesters.")


@pytest.mark.parametrize(
    "keys",
    [
        "algorithm = 'ed25519'",
        "algorithm = 'ed25519'\nkey_file = 'x'",
        "algorithm = 'ed25519'\npublic_key = 'x'\nkey_file = 'x'",
        "algorithm = 'hmac-sha256'",
        "algorithm = 'hmac-sha256'\npublic_key = 'x'",
        "algorithm = 'hmac-sha256'\npublic_key = 'x'\nkey_file = 'x'",
    ],
)
def test_a_requester_has_the_one_key_of_its_algorithm(tmp_path: Path, keys: str) -> None:
    said = refusal(tmp_path, f"{SMALLEST}[requesters.pms]\n{keys}\n")
    assert said.endswith("requesters.pms has the wrong key: give public_key for ed25519, key_file for hmac-sha256.")


@pytest.mark.parametrize("clock", ["auto", "synchronized", "trusted"])
def test_a_clock_is_believed_in_one_of_three_ways(tmp_path: Path, clock: str) -> None:
    assert load(written(tmp_path, f"clock = '{clock}'\n{SMALLEST}"), {}).clock == clock


@pytest.mark.parametrize("clock", ["'now'", "'Auto'", "true", "1"])
def test_a_clock_is_believed_in_no_other_way(tmp_path: Path, clock: str) -> None:
    said = refusal(tmp_path, f"clock = {clock}\n{SMALLEST}")
    assert said.endswith("clock is none of its values: give 'auto', 'synchronized' or 'trusted' in quotes.")


def test_a_signed_message_is_never_good_for_longer_than_its_id_is_remembered(tmp_path: Path) -> None:
    signed = "[signing]\nwindow_s = 302400\n[privacy]\nkeep_history_days = 7\n"
    settings = load(written(tmp_path, SMALLEST + signed), {})
    from_ahead_to_behind = 2 * settings.signing.window_s
    assert from_ahead_to_behind <= settings.privacy.keep_history_days * 86_400
    refusal(tmp_path, SMALLEST + signed.replace("302400", "302401"))
    refusal(tmp_path, SMALLEST + signed.replace("days = 7", "days = 6"))


@pytest.mark.parametrize("kind", ["PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY"])
def test_a_private_key_in_place_of_a_public_one_is_refused_and_not_quoted(tmp_path: Path, kind: str) -> None:
    pem = f"-----BEGIN {kind}-----\\ncanary\\n-----END {kind}-----\\n"
    said = refusal(tmp_path, f'{SMALLEST}[requesters.pms]\nalgorithm = "ed25519"\npublic_key = "{pem}"\n')
    assert said == (
        f"{tmp_path}/encoder-bridge.toml: requesters.pms.public_key holds a private key, which stays with who signs: "
        "give the public one, and have a new pair made."
    )


def test_a_private_key_is_refused_whatever_the_algorithm_and_from_the_environment(tmp_path: Path) -> None:
    hmac = "[requesters.pms]\nalgorithm = 'hmac-sha256'\nkey_file = 'x'\n"
    said = refusal(
        tmp_path, SMALLEST + hmac, {"ENCODER_BRIDGE_REQUESTERS__PMS__PUBLIC_KEY": "-----BEGIN PRIVATE KEY-----\ncanary"}
    )
    assert said.startswith("ENCODER_BRIDGE_REQUESTERS__PMS__PUBLIC_KEY: requesters.pms.public_key holds a private key")
    assert "canary" not in said


def test_a_public_key_may_be_pem(tmp_path: Path) -> None:
    pem = "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n"
    text = f"[requesters.pms]\nalgorithm = 'ed25519'\npublic_key = '''{pem}'''\n"
    assert load(written(tmp_path, SMALLEST + text), {}).requesters["pms"].public_key == pem


def test_keys_of_requesters_and_of_the_store_are_files_that_others_cannot_read(tmp_path: Path) -> None:
    text = "[requesters.kiosk]\nalgorithm = 'hmac-sha256'\nkey_file = 'kiosk-key'\n[privacy]\nkey_file = 'store-key'\n"
    settings = load(written(tmp_path, SMALLEST + text), {})
    for name in "kiosk-key", "store-key":
        (tmp_path / name).write_bytes(b"canary-of-16-bytes\n")
        (tmp_path / name).chmod(0o600)
    assert settings.privacy.key_file == tmp_path / "store-key"
    assert settings.requester_key("kiosk") == b"canary-of-16-bytes"
    (tmp_path / "kiosk-key").chmod(0o640)
    (tmp_path / "store-key").chmod(0o640)
    with pytest.raises(ConfigError, match=r"requesters\.kiosk\.key_file: other users may read"):
        settings.requester_key("kiosk")
    with pytest.raises(ConfigError, match=r"privacy\.key_file: other users may read"):
        settings.privacy_key(tmp_path / "store-key")


def test_the_control_socket_lies_beside_the_store(tmp_path: Path) -> None:
    settings = load(written(tmp_path), {"STATE_DIRECTORY": str(tmp_path / "state")})
    assert settings.control_socket == tmp_path / "state" / "control.sock"


def test_a_variable_names_the_file_and_the_command_line_overrules_it(tmp_path: Path) -> None:
    named = {"ENCODER_BRIDGE_CONFIG": str(written(tmp_path))}
    assert load(None, named).site == "harbour-hotel"
    with pytest.raises(ConfigError, match=r"other\.toml"):
        load(tmp_path / "other.toml", named)


def test_other_programs_variables_are_left_alone(tmp_path: Path) -> None:
    environ = {
        "ENCODER_BRIDGE_PORT": "tcp://10.0.0.1:80",
        "ENCODER_BRIDGE_PORT_80_TCP_ADDR": "10.0.0.1",
        "ENCODER_BRIDGE_SERVICE_HOST": "10.0.0.1",
        "ENCODER_BRIDGE_MQTT_PORT": "tcp://10.0.0.1:1883",
        "ENCODER_BRIDGE_MQTT_SERVICE_HOST": "10.0.0.1",
    }
    assert load(written(tmp_path), environ).mqtt is None


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("ENCODER_BRIDGE_MQTT_HOST", "ENCODER_BRIDGE_MQTT__HOST"),
        ("ENCODER_BRIDGE_MQTT_PASSWORD_FILE", "ENCODER_BRIDGE_MQTT__PASSWORD_FILE"),
        ("ENCODER_BRIDGE_JOBS_MAX_OPEN", "ENCODER_BRIDGE_JOBS__MAX_OPEN"),
        ("ENCODER_BRIDGE_LOG_LEVEL", "ENCODER_BRIDGE_LOG__LEVEL"),
        ("ENCODER_BRIDGE_SIGNING_REQUIRED", "ENCODER_BRIDGE_SIGNING__REQUIRED"),
        ("ENCODER_BRIDGE_PRIVACY_KEY_FILE", "ENCODER_BRIDGE_PRIVACY__KEY_FILE"),
        ("ENCODER_BRIDGE_ENCODERS_DESK_1__STOCK", "ENCODER_BRIDGE_ENCODERS__DESK_1__STOCK"),
        ("ENCODER_BRIDGE_REQUESTERS_PMS__ALGORITHM", "ENCODER_BRIDGE_REQUESTERS__PMS__ALGORITHM"),
    ],
)
def test_a_variable_that_lacks_an_underscore_is_refused(tmp_path: Path, variable: str, meant: str) -> None:
    assert refusal(tmp_path, environ={variable: "x"}) == f"{variable} is no key: did you mean {meant}?"


def test_variables_become_what_their_key_holds(tmp_path: Path) -> None:
    settings = load(
        written(tmp_path),
        {
            "ENCODER_BRIDGE_MQTT__TLS": "no",
            "ENCODER_BRIDGE_MQTT__PORT": "18883",
            "ENCODER_BRIDGE_MQTT__USERNAME": "17",
            "ENCODER_BRIDGE_JOBS__CARD_WAIT_S": "2.5",
        },
    )
    assert settings.mqtt
    assert (settings.mqtt.tls, settings.mqtt.port, settings.jobs.card_wait_s) == (False, 18883, 2.5)
    assert type(settings.mqtt.username) is str
    assert "mqtt.port is not a whole number" in refusal(tmp_path, environ={"ENCODER_BRIDGE_MQTT": '{"port": "1883"}'})


def test_a_store_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    said = refusal(tmp_path, 'store = "jobs"\n' + SMALLEST)
    assert said == (
        f"{tmp_path}/encoder-bridge.toml: store {tmp_path}/jobs is a folder: name a file in it, such as jobs.sqlite."
    )


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    monkeypatch.setattr(Path, "exists", forbidden)
    for environ in ({}, {"ENCODER_BRIDGE_SITE": "a"}):
        with pytest.raises(ConfigError, match=r"cannot be read \(Permission denied\): let this user read it or name"):
            load(None, environ)


def test_the_store_lies_in_the_state_directory_or_beside_the_file(tmp_path: Path) -> None:
    file = written(tmp_path)
    assert load(file, {"STATE_DIRECTORY": "/state:/more"}).store == Path("/state/jobs.sqlite")
    relative = written(tmp_path, 'store = "jobs.sqlite"\n' + SMALLEST)
    assert load(relative, {"STATE_DIRECTORY": "/state"}).store == tmp_path / "jobs.sqlite"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[mqtt]\nhsot = 'x'\n", "mqtt.hsot is no key: did you mean mqtt.host?"),
        ("[mqtt]\ndefault_profile = 'x'\n", "mqtt.default_profile is no key: it belongs to the table [jobs]."),
        ("[jobs]\nzzz = 1\n", "jobs.zzz is no key: the nearest is jobs."),
        ("[mqqt]\n", "mqqt is no key: did you mean mqtt?"),
        ("[mqtt]\nport = 0\n", "mqtt.port must be greater than or equal to 1."),
        ("[mqtt]\nport = 'x'\n", "mqtt.port is not a whole number: write digits, without quotes."),
        ("[mqtt]\nprotocol = '4'\n", "mqtt.protocol is none of its values: give '5' or '3.1.1' in quotes."),
        ("[mqtt]\nhost = 'mqtt://u:p@h'\n", "mqtt.host is no host: give a name or an address alone"),
        ("[mqtt]\nbase = 'a/#'\n", "mqtt.base is no base for topics"),
        ("[mqtt]\nbase = '$SYS'\n", "mqtt.base is no base for topics"),
        ("[mqtt]\nbase = 'a/'\n", "mqtt.base is no base for topics"),
        ("[mqtt]\ntrigger_topics = ['ok', 'a/#/b']\n", "mqtt.trigger_topics.1 is no topic filter"),
        ("[mqtt]\ntrigger_topics = ['a+']\n", "mqtt.trigger_topics.0 is no topic filter"),
        ("[mqtt]\ntrigger_topics = ['$share/g/t']\n", "mqtt.trigger_topics.0 is no topic filter"),
        ("[mqtt]\nreply_topics = ['']\n", "mqtt.reply_topics.0 is no topic filter"),
        (
            "[mqtt]\ntrigger_topics = 'a'\n",
            'mqtt.trigger_topics is not a list: write one such as ["seam/events", "pms/+"].',
        ),
        ("[mqtt]\nca_file = 'x'\n", "mqtt has ca_file without effect: set tls = true or remove it."),
        ("[mqtt]\ntls = true\ncert_file = 'x'\n", "mqtt has only one of cert_file and key_file: give both or none."),
        ("[mqtt]\npassword_file = 'x'\n", "mqtt has password_file without username: give both or none."),
        ("[mqtt]\nport = '1883'\n", "mqtt.port is not a whole number"),
        ("[mqtt]\nkeepalive_s = true\n", "mqtt.keepalive_s is not a whole number"),
        ("[mqtt]\ntls = 'no'\n", "mqtt.tls is neither true nor false"),
        ("[mqtt]\ntls = 0\n", "mqtt.tls is neither true nor false"),
        ("[jobs]\nmax_open = true\n", "jobs.max_open is not a whole number"),
        ("[jobs]\nmax_open = 1.5\n", "jobs.max_open is not a whole number"),
        ("[jobs]\ncard_wait_s = '90'\n", "jobs.card_wait_s is not a number"),
        ("[jobs]\ncard_wait_s = false\n", "jobs.card_wait_s is not a number"),
        ("[jobs]\ncard_wait_s = 0\n", "jobs.card_wait_s must be greater than 0."),
        ("[jobs]\ncard_wait_s = nan\n", "jobs.card_wait_s must be"),
        ("[jobs]\ndefault_profile = 'a b'\n", "jobs.default_profile is not a name"),
        (
            "[[routes]]\nentrances = ['1']\n",
            'routes.0.encoders is missing: give a list of encoders such as ["desk-1"].',
        ),
        ("[[routes]]\nencoders = []\n", 'routes.0.encoders is empty: give a list of encoders such as ["desk-1"].'),
        (
            "[[routes]]\nencoders = ['desk-1', 'desk-2']\n",
            "routes lead to an encoder that is not configured: use desk-1.",
        ),
        (
            "[[routes]]\nencoders = ['desk-1']\nbackup = ['desk-2']\n",
            "routes lead to an encoder that is not configured: use desk-1.",
        ),
        (
            "[[routes]]\nencoders = ['desk-1']\nentrance = ['1']\n",
            "routes.0.entrance is no key: did you mean routes.0.entrances?",
        ),
        ("[[routes]]\nencoders = 'desk-1'\n", "routes.0.encoders is not a list: put it into brackets, such as ["),
        ("[routes]\nencoders = ['desk-1']\n", "routes is not a list: begin every route with [[routes]]."),
        ("[signing]\nrequired = 'yes'\n", "signing.required is neither true nor false"),
        (
            "[signing]\nrequired = true\n",
            "the configuration requires signatures without anybody to sign: add a table under requesters.",
        ),
        ("[signing]\nwindow_s = 302401\n", "signing.window_s must be less than or equal to 302400."),
        ("[signing]\nwindow_s = 0\n", "signing.window_s must be greater than or equal to 1."),
        ("[requesters.pms]\n", "requesters.pms.algorithm is missing: give 'ed25519' or 'hmac-sha256'."),
        ("[requesters.pms]\nalgorithm = 'rsa'\n", "requesters.pms.algorithm is none of its values: give 'ed25519'"),
        (
            "[requesters.pms]\nalgorithm = 'ed25519'\npublic_key = 'x'\nmay = ['all']\n",
            "requesters.pms.may.0 is none of its values: give 'trigger', 'cancel', ",
        ),
        (
            "[requesters.pms]\nalgorithm = 'ed25519'\npublic_kye = 'x'\n",
            "requesters.pms.public_kye is no key: did you mean requesters.pms.public_key?",
        ),
        ("[requesters.'p m']\nalgorithm = 'ed25519'\npublic_key = 'x'\n", "requesters.p m is not a name"),
        ("[jobs]\nclock = 'auto'\n", "jobs.clock is no key: it belongs to the top of the file."),
        ("[jobs]\ncards_per_minute = -1\n", "jobs.cards_per_minute must be greater than or equal to 0."),
        ("[jobs]\nsequence_window = 1\n", "jobs.sequence_window must be greater than or equal to 2."),
        ("[privacy]\nkeep_history_days = 6\n", "privacy.keep_history_days must be greater than or equal to 7."),
        ("[privacy]\nkeyfile = 'x'\n", "privacy.keyfile is no key: did you mean privacy.key_file?"),
        ("[control]\nsocket = ''\n", "control.socket names no file."),
        ("[mqtt]\nerase = 'yes'\n", "mqtt.erase is neither true nor false"),
        ("[encoders.two]\n", "encoders.two.driver is missing: give the name of an installed driver"),
        ("[encoders.'a b']\ndriver = 'x'\n", "encoders.a b is not a name"),
        ("[log]\nlevel = 'loud'\n", "log.level is none of its values: give 'traffic', 'debug', "),
        ("[log]\nlevel = 3\n", "log.level is none of its values"),
        ("[secrets]\na = ''\n", "secrets.a names no file."),
        ("[secrets]\na = 3\n", "secrets.a is not text: put the path in quotes."),
    ],
)
def test_a_refusal_names_the_file_the_key_and_what_to_do(tmp_path: Path, text: str, sentence: str) -> None:
    said = refusal(tmp_path, SMALLEST + text)
    assert said.startswith(f"{tmp_path}/encoder-bridge.toml: {sentence}")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("zone", "near"),
    [
        ("Berlin", "Europe/Berlin"),
        ("Berln", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Europe/New York", "America/New_York"),
        ("America/New York", "America/New_York"),
    ],
)
def test_a_zone_that_is_nearly_right_is_proposed(tmp_path: Path, zone: str, near: str) -> None:
    said = refusal(tmp_path, SMALLEST.replace("Europe/Berlin", zone))
    assert said.endswith(f"time_zone is no time zone this machine knows: did you mean '{near}'?")


@pytest.mark.parametrize("zone", ["", "Europe", "../etc/passwd", "/etc/localtime", "a\\u0000b"])
def test_a_zone_is_checked_and_an_example_given(tmp_path: Path, zone: str) -> None:
    said = refusal(tmp_path, SMALLEST.replace("Europe/Berlin", zone))
    assert "time_zone is no time zone this machine knows: give the property's, such as 'Europe/Berlin'." in said


def test_all_findings_are_told_at_once(tmp_path: Path) -> None:
    text = "sight = 'x'\n[mqtt]\ntls = 'perhaps'\n[encoders]\n"
    assert refusal(tmp_path, text, {"ENCODER_BRIDGE_MQTT__HSOT": "x"}).splitlines() == [
        f"{tmp_path}/encoder-bridge.toml: site is missing: give a name such as 'harbour-hotel'.",
        f"{tmp_path}/encoder-bridge.toml: desk is missing: give a name such as 'front-desk'.",
        f"{tmp_path}/encoder-bridge.toml: time_zone is missing: give the property's zone, such as 'Europe/Berlin'.",
        f"{tmp_path}/encoder-bridge.toml: mqtt.tls is neither true nor false: write one of them, without quotes.",
        "ENCODER_BRIDGE_MQTT__HSOT: mqtt.hsot is no key: did you mean mqtt.host?",
        f"{tmp_path}/encoder-bridge.toml: encoders is empty: give at least one table such as [encoders.desk-1].",
        f"{tmp_path}/encoder-bridge.toml: sight is no key: did you mean site?",
    ]


def test_a_wrong_variable_is_named_instead_of_the_file(tmp_path: Path) -> None:
    assert refusal(tmp_path, environ={"ENCODER_BRIDGE_MQTT__PORT": "x"}).startswith("ENCODER_BRIDGE_MQTT__PORT: mqtt.")
    assert refusal(tmp_path, environ={"ENCODER_BRIDGE_SIET": "x"}) == (
        "ENCODER_BRIDGE_SIET: siet is no key: did you mean site?"
    )
    said = refusal(tmp_path, environ={"ENCODER_BRIDGE_MQTT__TRIGGER_TOPICS": '["a"'})
    assert said == "ENCODER_BRIDGE_MQTT__TRIGGER_TOPICS is not JSON: write lists and tables as JSON."


def test_a_variable_that_turns_a_value_into_a_table_is_judged_not_crashed_on(tmp_path: Path) -> None:
    assert "site is not text" in refusal(tmp_path, environ={"ENCODER_BRIDGE_SITE__X": "1"})
    assert "is no" in refusal(tmp_path, environ={"ENCODER_BRIDGE_MQTT__": "1"})
    assert "encoders is not a table" in refusal(tmp_path, environ={"ENCODER_BRIDGE_ENCODERS": "1"})


def test_what_is_no_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    assert "is not TOML: " in refusal(tmp_path, "a = 1\nb = = 2\n")
    assert "at line 2" in refusal(tmp_path, "a = 1\nb = = 2\n")
    (tmp_path / "latin.toml").write_bytes(b"a = 1\nb = '\xe4'\n")
    with pytest.raises(ConfigError, match="line 2 is not UTF-8"):
        load(tmp_path / "latin.toml", {})
    with pytest.raises(ConfigError, match="is a folder: name the file in it"):
        load(tmp_path, {})


def test_no_error_quotes_a_value(tmp_path: Path) -> None:
    canary = "canary-Tr0ub4dor"
    text = SMALLEST + f"password = '{canary}'\n[mqtt]\nhost = 'u:{canary}@h'\npassword = '{canary}'\nport='{canary}'\n"
    assert canary not in refusal(tmp_path, text)
    with pytest.raises(ValueError, match="validation errors") as caught:
        Settings.model_validate(tomllib.loads(text))
    assert canary not in str(caught.value)


def test_nothing_of_a_driver_is_in_the_repr(tmp_path: Path) -> None:
    settings = load(written(tmp_path, SMALLEST + 'pin = "canary-1234"\n'), {})
    assert "canary" not in repr(settings)
    assert "canary" not in str(settings.encoders["desk-1"])


def test_settings_do_not_change(tmp_path: Path) -> None:
    settings = load(written(tmp_path, SMALLEST + "stock = 'x'\n"), {})
    with pytest.raises(ValueError, match="frozen"):
        settings.site = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.encoders["desk-1"].settings["stock"] = "y"  # type: ignore[index]


def test_a_secret_is_read_without_its_line_break_and_concealed(tmp_path: Path) -> None:
    settings = with_secret(tmp_path, b"canary-secret-1\n\n")
    assert settings.secret("vendor") == b"canary-secret-1\n"
    assert with_secret(tmp_path, b"canary-secret-2\r\n").secret("vendor") == b"canary-secret-2"
    assert without_secrets("it was canary-secret-2!") == "it was …!"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_secret_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    settings = with_secret(tmp_path, b"canary", mode)
    with pytest.raises(ConfigError, match=r"secrets\.vendor: other users may read .*vendor-key: run chmod 600"):
        settings.secret("vendor")


def test_a_secret_that_cannot_be_had_is_refused_by_its_key(tmp_path: Path) -> None:
    settings = with_secret(tmp_path, b"\n")
    with pytest.raises(ConfigError, match=r"secrets\.vendor: .* is empty"):
        settings.secret("vendor")
    (tmp_path / "vendor-key").unlink()
    with pytest.raises(ConfigError, match=r"secrets\.vendor: the file .*vendor-key cannot be read \(No such file"):
        settings.secret("vendor")
    with pytest.raises(ConfigError, match="There is no secret 'vendro': did you mean 'vendor'"):
        settings.secret("vendro")
    (tmp_path / "vendor-key").mkdir()
    with pytest.raises(ConfigError, match="is not a file"):
        settings.secret("vendor")


def test_a_credential_of_systemd_is_found_by_its_bare_name_whatever_its_mode(tmp_path: Path) -> None:
    credentials, etc = tmp_path / "credentials", tmp_path / "etc"
    for folder in (credentials, etc):
        folder.mkdir()
        for name in ("vendor", "mqtt-password"):
            (folder / name).write_bytes(f"from-{folder.name}".encode())
            (folder / name).chmod(0o440)
    text = SMALLEST + '[secrets]\na = "vendor"\nb = "./vendor"\nc = "../credentials/../etc/vendor"\n'
    text += f'd = "{credentials}/../etc/vendor"\n'
    text += '[mqtt]\nusername = "u"\npassword_file = "mqtt-password"\n'
    settings = load(written(etc, text), {"CREDENTIALS_DIRECTORY": str(credentials)})
    assert settings.secret("a") == b"from-credentials"
    assert settings.mqtt_password() == b"from-credentials"
    for name in ("b", "c", "d"):
        with pytest.raises(ConfigError, match="other users"):
            settings.secret(name)
    outside = load(written(etc, text), {})
    with pytest.raises(ConfigError, match=r"mqtt\.password_file: other users may read .*etc/mqtt-password"):
        outside.mqtt_password()


def test_a_broker_without_a_password_has_none(tmp_path: Path) -> None:
    assert load(written(tmp_path), {}).mqtt_password() is None
    assert load(written(tmp_path, SMALLEST + "[mqtt]\n"), {}).mqtt_password() is None


def test_what_may_be_secret_is_masked(tmp_path: Path) -> None:
    own = """
    stock = "cards"
    key_file = "keys/vendor"
    pin = "canary-1"
    master_key = "canary-2"
    apiToken = "canary-3"
    userPassword = "canary-4"
    server = "https://user:canary-5@lock.example.com/api"
    spins = 3
    keyboard = "de"
    nested = { secret = "canary-6", shown = ["x", { token = "canary-7" }] }
    """
    shown = masked(load(written(tmp_path, SMALLEST + own + '[secrets]\nvendor = "vendor-key"\n'), {}))
    assert "canary" not in str(shown)
    assert shown["encoders"]["desk-1"] == {
        "driver": "simulated",
        "stock": "cards",
        "key_file": "keys/vendor",
        "pin": "…",
        "master_key": "…",
        "apiToken": "…",
        "userPassword": "…",
        "server": "https://…@lock.example.com/api",
        "spins": 3,
        "keyboard": "de",
        "nested": {"secret": "…", "shown": ["x", {"token": "…"}]},
    }
    assert shown["secrets"] == {"vendor": str(tmp_path / "vendor-key")}


def test_public_keys_and_the_paths_of_others_are_shown(tmp_path: Path) -> None:
    text = f"""
    [requesters.pms]
    algorithm = "ed25519"
    public_key = "{PUBLIC_KEY}"
    [requesters.kiosk]
    algorithm = "hmac-sha256"
    key_file = "kiosk-key"
    [privacy]
    key_file = "store-key"
    """
    for name in "kiosk-key", "store-key":
        (tmp_path / name).write_text("canary")
    shown = masked(load(written(tmp_path, SMALLEST + text), {}))
    assert "canary" not in str(shown)
    assert shown["requesters"]["pms"]["public_key"] == PUBLIC_KEY
    assert shown["requesters"]["pms"]["key_file"] is None
    assert shown["requesters"]["kiosk"]["key_file"] == str(tmp_path / "kiosk-key")
    assert shown["privacy"]["key_file"] == str(tmp_path / "store-key")
    assert shown["signing"] == {"required": False, "window_s": 86_400}


def test_every_key_is_documented() -> None:
    schema = Settings.model_json_schema()
    tables = [schema, *schema["$defs"].values()]
    bare = [
        key
        for table in tables
        for key, about in table["properties"].items()
        # A sentence that the table itself has already is not repeated.
        if not about.get("description") and not schema["$defs"][about["$ref"].rpartition("/")[2]]["description"]
    ]
    assert not bare
