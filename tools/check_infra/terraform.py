"""Terraform: parsed, formatted, and every name that is used is declared. A plan needs the cloud and is not tried."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
from lark.exceptions import LarkError

from tools.check_infra.missing import MissingProgramError, program

_REFERENCE = re.compile(r"(?<![\w.\"-])(?:(?:var|local)\.\w+|(?:data\.)?(?:aws|random|tls)_\w+\.\w+)")
_SECRET = re.compile(r"(AKIA[0-9A-Z]{16}|password\s*=\s*\"[^\"$]+\")")


def check(root: Path) -> list[str]:
    """Problems of infra/terraform."""
    files = sorted((root / "infra" / "terraform").glob("*.tf"))
    parsed, problems = {}, []
    for file in files:
        try:
            parsed[file] = hcl2.loads(file.read_text())
        except LarkError as error:
            problems.append(f"{file.name}: {str(error).splitlines()[0]}")
    declared = {name for content in parsed.values() for name in _declared(content)}
    used = set()
    for file in parsed:
        problems += [f"{file.name}: holds a secret" for _ in _SECRET.findall(file.read_text())]
        names = set(_used(parsed[file]))
        used |= names
        problems += [f"{file.name}: {name} is declared nowhere" for name in sorted(names - declared)]
    unused = sorted(name for name in declared - used if name.startswith(("var.", "local.")))
    return problems + [f"{name} is used nowhere" for name in unused] + _format(root)


def _declared(content: dict[str, Any]) -> Iterator[str]:
    for block in content.get("variable", []):
        yield from (f"var.{_bare(name)}" for name in block)
    for block in content.get("locals", []):
        yield from (f"local.{_bare(name)}" for name in block if not name.startswith("__"))
    for kind, prefix in (("resource", ""), ("data", "data.")):
        for block in content.get(kind, []):
            yield from (f"{prefix}{_bare(kind)}.{_bare(name)}" for kind, named in block.items() for name in named)


def _used(content: Any) -> Iterator[str]:
    """What the expressions of a file refer to, without attributes."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _used(key)
            yield from _used(value)
    elif isinstance(content, list):
        for value in content:
            yield from _used(value)
    elif isinstance(content, str) and "${" in content:
        yield from (match.group(0) for match in _REFERENCE.finditer(content))


def _format(root: Path) -> list[str]:
    try:
        terraform = program("terraform", "")
    except MissingProgramError:
        return []  # the format alone is not checked then
    command = [terraform, "fmt", "-check", "-list=true", str(root / "infra" / "terraform")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [f"{Path(line).name}: not formatted; run terraform fmt" for line in done.stdout.split()]


def _bare(name: str) -> str:
    return name.strip('"')
