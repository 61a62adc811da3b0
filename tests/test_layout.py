"""What the import contracts in pyproject.toml cannot say."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import encoder_bridge.driver


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
