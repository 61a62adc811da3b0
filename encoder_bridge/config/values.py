"""The kinds of value a configuration holds, each with the sentence that refuses a wrong one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, NoReturn
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationInfo
from pydantic_core import PydanticCustomError

_LONGEST_TOPIC_BYTES = 65_535


def refuse(wanted: str) -> NoReturn:
    """Refuse the value at hand; `wanted` ends the sentence that names the key."""
    raise PydanticCustomError("config", "{wanted}", {"wanted": wanted})


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        refuse("is no time zone this machine knows: give the property's, such as 'Europe/Berlin'")
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
ClientId = Annotated[str, StringConstraints(max_length=128, pattern=r"^[^\x00-\x1f\x7f/+#]*$")]
File = Annotated[Path, AfterValidator(_beside_the_file)]
"""A path; a relative one starts at the configuration's folder."""
SecretFile = Annotated[Path, BeforeValidator(_among_credentials), AfterValidator(_beside_the_file)]
"""A file that holds a secret; a bare name is one of systemd's credentials where the service has any."""
Seconds = Annotated[int, Field(ge=0, le=4_294_967_295)]
