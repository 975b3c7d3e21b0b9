"""The failures that callers tell apart. Doors translate vendor exceptions into these; flows look at the class only."""


class CromaError(Exception):
    """Base of every error this package raises on purpose."""


class TransientError(CromaError):
    """Something outside failed and may work when tried again: a time-out, a 503, a dropped connection."""


class UnusableError(CromaError):
    """One piece of input cannot be used: give it up, count it, go on."""


class ContractError(CromaError):
    """Somebody's promise is broken (a checksum, a schema, a law): stop."""


class InputError(CromaError, ValueError):
    """What the user asked for cannot be done: a recipe, a site, an address. The command line exits with 2.

    `problems` lists everything wrong at once, one sentence each, with the place and what would be right.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
