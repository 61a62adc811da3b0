"""What the import contracts in pyproject.toml cannot say."""

from __future__ import annotations

import ast
import pkgutil
import sys
import tomllib
from pathlib import Path

import encoder_bridge.driver

ROOT = Path(__file__).parents[1]


def test_the_driver_port_imports_only_the_standard_library() -> None:
    source = Path(encoder_bridge.driver.__file__).read_text()
    imported: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module if node.module and not node.level else ".")
    foreign = {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names}
    assert imported
    assert not foreign


def test_the_contract_on_the_contract_suite_names_every_other_module() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = (each for each in settings if each.get("source_modules") == ["encoder_bridge.testing"])
    modules = {f"encoder_bridge.{module.name}" for module in pkgutil.iter_modules(encoder_bridge.__path__)}
    assert set(contract["forbidden_modules"]) == modules - {"encoder_bridge.driver", "encoder_bridge.testing"}
