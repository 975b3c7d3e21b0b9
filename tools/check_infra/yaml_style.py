"""YAML that says what it seems to say: no key twice, no `yes` for true, no tabs."""

from pathlib import Path

from yamllint import linter
from yamllint.config import YamlLintConfig

_CONFIG = YamlLintConfig(
    """
    extends: default
    rules:
      braces: {max-spaces-inside: 1}
      brackets: {max-spaces-inside: 1}
      comments: {min-spaces-from-content: 1}
      document-start: disable
      indentation: {indent-sequences: consistent}
      line-length: {max: 140}
      truthy: {check-keys: false}
    """
)


def check(root: Path) -> list[str]:
    """Problems of every YAML file below infra/, and of prefect.yaml."""
    files = [*sorted((root / "infra").rglob("*.yaml")), *root.glob("prefect.yaml")]
    return [
        f"{file.relative_to(root)}:{problem.line}: {problem.desc}"
        for file in files
        for problem in linter.run(file.read_text(), _CONFIG)
    ]
