"""A lock vendor's package, built and installed as a stranger's, is discovered and passes the contract."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .behaviours import BEHAVIOURS

STRANGER = Path(__file__).parents[1] / "stranger"

DISCOVER = """
import sys
from importlib.metadata import entry_points
[found] = entry_points(group="encoder_bridge.drivers", name="stranger")
print(found.load().port, sorted(name for name in sys.modules if name.partition(".")[0] == "encoder_bridge"))
"""


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the source, and `site`, where its wheel is unpacked, as a pure wheel is installed."""
    pytest.importorskip("hatchling.build", reason="hatchling builds the stranger's wheel, and it is not installed")
    folder = tmp_path_factory.mktemp("stranger")
    source = shutil.copytree(STRANGER, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    built = python(source, "-c", "from hatchling.build import build_wheel; build_wheel('../dist')")
    assert built.returncode == 0, built.stderr
    [wheel] = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    shutil.rmtree(source / "encoder_bridge_stranger")
    return folder


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder.parent / "site")}
    for name in [name for name in environment if name.startswith("PYTEST")]:
        del environment[name]
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_installed_stranger_is_discovered_and_needs_the_port_only(stranger: Path) -> None:
    found = python(stranger / "source", "-c", DISCOVER)
    assert found.stdout.strip() == "(1, 0) ['encoder_bridge', 'encoder_bridge.driver']", found.stderr


def test_a_stranger_passes_the_contract_in_its_own_tests(stranger: Path) -> None:
    told = python(stranger / "source", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert told.returncode == 0, told.stdout + told.stderr
    counts = {word: int(count) for count, word in re.findall(r"(\d+) (passed|skipped)", told.stdout)}
    assert sum(counts.values()) == len(BEHAVIOURS), told.stdout
    assert counts["passed"] > counts["skipped"]
