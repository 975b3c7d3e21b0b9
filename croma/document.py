"""Documents: what a person writes or another process reads. Frozen, strict, with an identity."""

import hashlib
import json
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from croma.errors import InputError


class Document(BaseModel):
    """A frozen record whose unknown fields are refused and whose content has a fingerprint."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_bytes="base64")

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the sha256 of the canonical JSON: equal content, equal fingerprint."""
        return digest(self.model_dump(mode="json"))

    def to_json(self) -> bytes:
        """The document as indented JSON with sorted keys, ending in a newline."""
        return (json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def parse(cls, data: Any, source: str) -> Self:
        """`data` as this document.

        Raises:
            InputError: lists every problem at once, each with its path inside `source`.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError(*(f"{source}: {line}" for line in problems(error))) from None

    @classmethod
    def from_yaml(cls, path: Path) -> Self:
        """The document written at `path`; see `parse` for what is refused."""
        try:
            text = path.read_text()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        try:
            data = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
        return cls.parse(data, str(path))


def digest(content: Any) -> str:
    """First 16 hex digits of the sha256 of `content` as canonical JSON (sorted keys, no spaces)."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def problems(error: ValidationError) -> list[str]:
    """One line for each thing wrong: the path to it, what is wrong, and what was given."""
    lines = []
    for fault in error.errors(include_url=False):
        path = ".".join(str(part) for part in fault["loc"]) or "the document"
        given = "" if fault["type"] in ("missing", "extra_forbidden") else f" (given: {fault['input']!r:.80})"
        message = {
            "missing": "is required and missing",
            "extra_forbidden": "is not a known field",
        }.get(fault["type"], fault["msg"].removeprefix("Value error, "))
        lines.append(f"{path}: {message}{given}")
    return lines
