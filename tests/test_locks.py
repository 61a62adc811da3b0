"""The lock files, and the program that judges them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

PROJECT = """
[build-system]
requires = ["hatchling>=1"]
[project]
name = "some-thing"
dependencies = ["aiomqtt>=2,<3"]
[project.optional-dependencies]
serial = ["pyserial>=3.5"]
[dependency-groups]
dev = ["Type_Checker>=1"]
"""
RUNTIME = """\
aiomqtt==2.5.1 \\
    --hash=sha256:aa
    # via some-thing (pyproject.toml)
pyserial==3.5 ; sys_platform == 'linux' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
"""
DEVELOPMENT = (
    RUNTIME + "hatchling==1.33.0 \\\n    --hash=sha256:dd\ntype-checker==1.0 \\\n    --hash=sha256:ee\n    # via x\n"
)


def judge(root: Path) -> tuple[int, str]:
    checker = [sys.executable, str(ROOT / "scripts" / "check_locks.py"), str(root)]
    ended = subprocess.run(checker, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def project(root: Path, runtime: str = RUNTIME, development: str = DEVELOPMENT) -> Path:
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "requirements.lock").write_text(runtime)
    (root / "requirements-dev.lock").write_text(development)
    return root


def test_the_committed_locks_fit_the_project() -> None:
    assert judge(ROOT) == (0, "")


def test_locks_that_fit_pass(tmp_path: Path) -> None:
    assert judge(project(tmp_path)) == (0, "")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("aiomqtt==2.5.1", "aiomqtt==3.0.0", "aiomqtt 3.0.0 does not satisfy aiomqtt<3,>=2"),
        ("aiomqtt==2.5.1", "paho-mqtt==2.2.0", "nothing is pinned for aiomqtt<3,>=2"),
        ("    --hash=sha256:aa\n", "", "aiomqtt==2.5.1 has no hash"),
        ("aiomqtt==2.5.1", "--index-url somewhere\naiomqtt==2.5.1", "an address or an option: --index-url somewhere"),
        ("aiomqtt==2.5.1", "aiomqtt @ https://example.org/a.whl", "an address or an option: aiomqtt @ https://exam"),
        ("aiomqtt==2.5.1", "some-thing==1 \\\n    --hash=sha256:ff\naiomqtt==2.5.1", "pins the project itself"),
    ],
)
def test_a_lock_that_does_not_fit_is_told_why(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    code, said = judge(project(tmp_path, RUNTIME.replace(old, new), DEVELOPMENT.replace(old, new)))
    assert code == 1
    assert complaint in said


def test_locks_that_disagree_are_told(tmp_path: Path) -> None:
    code, said = judge(project(tmp_path, development=DEVELOPMENT.replace("aiomqtt==2.5.1", "aiomqtt==2.5.0")))
    assert code == 1
    assert "another version of aiomqtt" in said


def test_a_build_requirement_without_a_pin_is_told(tmp_path: Path) -> None:
    code, said = judge(project(tmp_path, development=DEVELOPMENT.replace("hatchling", "hatch")))
    assert code == 1
    assert "nothing is pinned for hatchling>=1" in said
