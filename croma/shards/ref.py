"""The name of a dataset version."""

from typing import Self

from croma.document import Document
from croma.errors import InputError


class DatasetRef(Document):
    """A dataset at an address, at one version or (None) at its newest. Prints as `address@version`."""

    uri: str
    version: int | None = None

    def __str__(self) -> str:
        return self.uri if self.version is None else f"{self.uri}@{self.version}"

    @classmethod
    def of(cls, text: str) -> Self:
        """The reference that prints as `text`.

        Raises:
            InputError: what follows the `@` is not a version number.
        """
        uri, separator, version = text.rpartition("@")
        if not separator:
            return cls(uri=text)
        if not version.isdigit():
            raise InputError(f"dataset {text}: after @ comes a version number, not {version!r}")
        return cls(uri=uri, version=int(version))
