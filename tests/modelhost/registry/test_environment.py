from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import version

import pytest

from modelhost.errors import EnvironmentMismatch
from modelhost.metadata import Environment
from modelhost.registry.environment import (
    Closeness,
    EnvironmentRule,
    check_environment,
    differences,
    running_environment,
)
from tests.modelhost.registry.material import ROOT

MADE = Environment(python="3.11.7", packages={"torch": "2.13.0+cpu", "transformers": "5.23.0"})


def runs(python: str = "3.11.9", cuda: str | None = None, **packages: str) -> Environment:
    return Environment(python=python, packages=packages, cuda=cuda)


def test_another_patch_or_build_of_the_same_minor_version_is_no_difference() -> None:
    assert differences(MADE, runs(torch="2.13.4", transformers="5.23.1.post2", numpy="2.0")) == []


def test_each_difference_is_listed() -> None:
    assert differences(MADE, runs("3.12.1", torch="2.12.9")) == [
        "python 3.11.7 wanted, 3.12.1 runs",
        "torch 2.13.0+cpu wanted, 2.12.9 runs",
        "transformers 5.23.0 wanted, none is installed",
    ]


def test_the_rule_says_how_close_each_must_be() -> None:
    running = runs("3.12.0", torch="2.13.1", transformers="5.1.0")
    loose = EnvironmentRule(python=Closeness.MAJOR, packages=Closeness.MAJOR, named={"torch": Closeness.EXACT})
    assert differences(MADE, running, loose) == ["torch 2.13.0+cpu wanted, 2.13.1 runs"]
    assert differences(MADE, Environment(python="2.7"), EnvironmentRule(Closeness.NONE, Closeness.NONE)) == []


def test_two_is_two_point_zero_and_a_name_is_only_itself() -> None:
    assert differences(Environment(python="3", packages={"x": "nightly"}), runs("3.0.1", x="nightly")) == []
    assert differences(Environment(python="3", packages={"x": "nightly"}), runs("3.0.1", x="1.0")) != []


def test_cuda_matters_only_where_both_sides_have_one() -> None:
    made = Environment(python="3.11.0", cuda="12.4")
    assert differences(made, runs()) == []
    assert differences(made, runs(cuda="12.8")) == []
    assert differences(made, runs(cuda="13.0")) == ["CUDA 12.4 wanted, 13.0 runs"]


def test_this_interpreter_suits_what_it_made_and_refuses_the_rest() -> None:
    here = running_environment(["pydantic", "no-such-package"])
    assert here.python == platform.python_version()
    assert here.packages == {"pydantic": version("pydantic")}
    check_environment("model 1.0.0", here)
    with pytest.raises(EnvironmentMismatch, match=r"model 1\.0\.0 .*pydantic 1\.10 wanted"):
        check_environment("model 1.0.0", Environment(python=here.python, packages={"pydantic": "1.10"}))


def test_asking_imports_none_of_the_packages() -> None:
    code = (
        "import sys; from modelhost.registry.environment import running_environment as r; "
        "r(['torch', 'transformers']); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
