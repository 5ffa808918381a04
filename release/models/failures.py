"""What modelhost's errors mean to the toolkit: its message and hint stay, the exit code is the toolkit's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from release.errors import ModelsError, Refused, ReleaseError, Superseded, UsageError

Tell = Callable[[str], None]


@contextmanager
def mapped(tell: Tell) -> Iterator[None]:
    """Around every call into modelhost. `tell` hears what it warns of: a version left out, a cache that answers."""
    logger, handler = logging.getLogger("modelhost"), _Teller(tell)
    propagates = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    except ImportError as error:
        raise ModelsError(
            f"model registries need a package that is not installed: {error.name or error}",
            hint="pip install '.[modelhost]', in a checkout of this project",
        ) from error
    except OSError as error:
        raise ModelsError(f"models cannot be read or written: {error}", hint="look at permissions and space") from error
    except Exception as error:
        from modelhost.errors import ModelHostError

        if not isinstance(error, ModelHostError):
            raise
        raise explain(error) from error
    finally:
        logger.propagate = propagates
        logger.removeHandler(handler)


def explain(error: Exception) -> ReleaseError:
    """The toolkit's error for one of modelhost's."""
    from modelhost import errors

    assert isinstance(error, errors.ModelHostError)
    kind: type[ReleaseError] = ModelsError
    if isinstance(error, errors.InvalidRequest | errors.Unknown | errors.ConfigError):
        kind = UsageError
    elif isinstance(error, errors.Superseded):
        kind = Superseded
    elif isinstance(error, errors.Conflict | errors.Refused):
        kind = Refused
    return kind(error.message, hint=error.hint or None, reason=type(error).__name__)


class _Teller(logging.Handler):
    def __init__(self, tell: Tell) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.getMessage())
