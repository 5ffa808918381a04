"""Every error of modelhost has an exit code of the toolkit, and keeps its message and hint."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from modelhost import errors
from release.errors import ModelsError, Refused, ReleaseError, Superseded, UsageError
from release.models.failures import explain, mapped

KINDS: dict[type[errors.ModelHostError], type[ReleaseError]] = {
    errors.InvalidRequest: UsageError,
    errors.Unknown: UsageError,
    errors.ConfigError: UsageError,
    errors.Conflict: Refused,
    errors.Superseded: Superseded,
    errors.Refused: Refused,
    errors.IncompleteMetadata: Refused,
    errors.IntegrityError: Refused,
    errors.EnvironmentMismatch: Refused,
    errors.MateMismatch: Refused,
    errors.UnsafeWeights: Refused,
    errors.NothingStable: Refused,
    errors.Unauthenticated: ModelsError,
    errors.Forbidden: ModelsError,
    errors.LoadFailed: ModelsError,
    errors.Unavailable: ModelsError,
    errors.Loading: ModelsError,
    errors.NoRoom: ModelsError,
    errors.RegistryUnavailable: ModelsError,
}


def test_no_error_is_forgotten_here() -> None:
    every = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert every - {errors.ModelHostError} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_keeps_what_it_says_and_what_to_do(kind: type[errors.ModelHostError]) -> None:
    with pytest.raises(ReleaseError) as refusal, mapped(lambda text: None):
        raise kind("it broke", "mend it")
    error = refusal.value
    assert type(error) is KINDS[kind] and (error.message, error.hint) == ("it broke", "mend it")
    assert error.context == {"reason": kind.__name__}
    assert explain(kind("it broke")).hint is None


def test_the_toolkits_own_errors_pass_as_they_are() -> None:
    with pytest.raises(UsageError, match="as it is"), mapped(lambda text: None):
        raise UsageError("as it is")


def test_a_file_that_cannot_be_read_is_something_unusable(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match="No such file"), mapped(lambda text: None):
        (tmp_path / "nothing").read_bytes()


def test_what_modelhost_warns_of_is_told_once_and_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    with mapped(told.append):
        logging.getLogger("modelhost.registry.remote").warning("the cache answers: %s", "away")
    assert told == ["the cache answers: away"] and capsys.readouterr().err == ""


def test_a_package_that_is_not_installed_is_named_with_the_way_to_get_it() -> None:
    code = (
        "import sys; sys.modules['fsspec'] = None\n"
        "from release.cli.main import run\n"
        "sys.exit(run(['models', 'list', '--registry', 'memory://models']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "fsspec" in done.stderr and "pip install '.[modelhost]', in a checkout of this project" in done.stderr
