"""Say whether the lock files fit pyproject.toml, without asking a package registry: check_locks.py [ROOT]

Every requirement must be pinned to a version that satisfies it, every pin must carry a hash, both files must agree, and
neither may hold an address or the project itself.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)")
ADDRESS = re.compile(r"://|^\s*-|file:|\s@\s")

Pins = dict[str, set[str]]


def pins(text: str) -> Pins:
    """The versions pinned for each name: more than one where environment markers tell them apart."""
    found: Pins = {}
    for match in filter(None, map(PIN.match, text.splitlines())):
        found.setdefault(canonicalize_name(match["name"]), set()).add(match["version"])
    return found


def unhashed(text: str) -> Iterator[str]:
    """The pins of a lock file that no hash follows."""
    for block in re.split(r"^(?=[^\s#])", text, flags=re.MULTILINE):
        if PIN.match(block) and "--hash=sha256:" not in block:
            yield block.split()[0]


def faults(root: Path) -> Iterator[str]:
    """Everything wrong with the lock files of the project at `root`, one sentence each."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    extras = project["project"].get("optional-dependencies", {})
    runtime = project["project"]["dependencies"] + [text for group in extras.values() for text in group]
    development = project["dependency-groups"]["dev"] + project["build-system"]["requires"]
    wanted = {"requirements.lock": runtime, "requirements-dev.lock": runtime + development}
    locked: dict[str, Pins] = {}
    for file, requirements in wanted.items():
        text = (root / file).read_text()
        locked[file] = pins(text)
        for line in text.splitlines():
            if not line.lstrip().startswith(("--hash=", "#")) and ADDRESS.search(line):
                yield f"{file}: an address or an option: {line.strip()}"
        for pin in unhashed(text):
            yield f"{file}: {pin} has no hash"
        if canonicalize_name(project["project"]["name"]) in locked[file]:
            yield f"{file}: pins the project itself"
        for requirement in map(Requirement, requirements):
            versions = locked[file].get(canonicalize_name(requirement.name), set())
            if not versions:
                yield f"{file}: nothing is pinned for {requirement}"
            for version in versions:
                if not requirement.specifier.contains(version, prereleases=True):
                    yield f"{file}: {requirement.name} {version} does not satisfy {requirement}"
    for name, versions in locked["requirements.lock"].items():
        if locked["requirements-dev.lock"].get(name) != versions:
            yield f"requirements-dev.lock: pins another version of {name} than requirements.lock"


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    found = list(faults(root))
    for fault in found:
        print(fault)
    if found:
        print("run scripts/lock to remake the lock files")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
