"""The kinds of value a configuration holds, each with the sentence that refuses a wrong one."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, NoReturn
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationInfo
from pydantic_core import PydanticCustomError, PydanticKnownError

_LONGEST_TOPIC_BYTES = 65_535
_NO_PLACES = frozenset({"Factory", "localtime", "posixrules"})


class Untyped(str):
    """Text of a variable of the environment, where nobody can write a number or a truth value in any other way."""

    __slots__ = ()


def of_its_kind(kind: object, value: object) -> object:
    """Let no text or truth value of the file pass for a number, and no text or number for a truth value.

    Raises:
        PydanticKnownError: it would.
    """
    is_text = isinstance(value, str) and not isinstance(value, Untyped)
    is_truth = isinstance(value, bool)
    if kind is bool and (is_text or (isinstance(value, int | float) and not is_truth)):
        raise PydanticKnownError("bool_type")
    if kind in {int, float} and (is_text or is_truth):
        raise PydanticKnownError("int_type" if kind is int else "float_type")
    return value


def refuse(wanted: str) -> NoReturn:
    """Refuse the value at hand; `wanted` ends the sentence that names the key."""
    raise PydanticCustomError("config", "{wanted}", {"wanted": wanted})


def nearest_zone(name: str) -> str:
    """What to say to somebody whose time zone there is not, without quoting it."""
    known = sorted(available_timezones() - _NO_PLACES)
    wanted = name.lower().replace(" ", "_")
    near = get_close_matches(wanted, [zone.lower() for zone in known], n=1, cutoff=0.75)
    if not near:  # a city alone
        cities = {zone.rpartition("/")[2].lower(): zone.lower() for zone in reversed(known)}
        near = [cities[city] for city in get_close_matches(wanted.rpartition("/")[2], cities, n=1, cutoff=0.75)]
    if not near:
        return "give the property's, such as 'Europe/Berlin'"
    return f"did you mean {next(zone for zone in known if zone.lower() == near[0])!r}?"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        refuse(f"is no time zone this machine knows: {nearest_zone(name)}")
    return name


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:%-]{1,253}", text):
        refuse("is no host: give a name or an address alone, such as 'broker.example.com'")
    return text


def _base(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,7}", text):
        refuse("is no base for topics: give levels of letters, digits, '_' and '-' with '/' between them, no wildcards")
    return text


def _filter(text: str) -> str:
    levels = text.split("/")
    fits = (
        text != ""
        and not text.startswith("$")
        and len(text.encode(errors="replace")) <= _LONGEST_TOPIC_BYTES
        and not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", text)
        and all(level in {"+", "#"} or not set(level) & {"+", "#"} for level in levels)
        and "#" not in levels[:-1]
    )
    if not fits:
        refuse("is no topic filter: '+' stands for one whole level, '#' for the last ones, and '$' begins none")
    return text


def _public_key(text: str) -> str:
    if "PRIVATE KEY" in text:
        refuse("holds a private key, which stays with who signs: give the public one, and have a new pair made")
    return text


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    if not path.name:
        refuse("names no file")
    folder: Path | None = (info.context or {}).get("folder")
    return folder / path if folder else path


def _among_credentials(value: object, info: ValidationInfo) -> object:
    credentials: Path | None = (info.context or {}).get("credentials")
    is_bare_name = isinstance(value, str) and value != "" and "/" not in value
    return credentials / str(value) if credentials and is_bare_name else value


ZoneName = Annotated[str, AfterValidator(_zone)]
Host = Annotated[str, AfterValidator(_host)]
TopicBase = Annotated[str, AfterValidator(_base)]
TopicFilter = Annotated[str, AfterValidator(_filter)]
PublicKey = Annotated[str, AfterValidator(_public_key)]
ClientId = Annotated[str, StringConstraints(max_length=128, pattern=r"^[^\x00-\x1f\x7f/+#]*$")]
File = Annotated[Path, AfterValidator(_beside_the_file)]
"""A path; a relative one starts at the configuration's folder."""
SecretFile = Annotated[Path, BeforeValidator(_among_credentials), AfterValidator(_beside_the_file)]
"""A file that holds a secret; a bare name is one of systemd's credentials where the service has any."""
Seconds = Annotated[int, Field(ge=0, le=4_294_967_295)]
