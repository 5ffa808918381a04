"""What a hook of the user's own is told of the run that calls it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.site import make_site

QUICK: dict[str, Any] = {
    "engine": {"kind": "process"},
    "container": {"memory": None},
    "checks": {"integration": None, "quality": None, "latency": None, "warmup": {"requests": 2}},
    "rollout": {"observe": {"for": "500ms", "min_requests": 1}},
}
ASK = (
    "import os, urllib.request as r; print(r.urlopen(os.environ['RELEASE_CANDIDATE_URL'] + '/version').read().decode())"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Open to every account, as nginx's workers need it."""
    path = Path(tempfile.mkdtemp(prefix="release-hooks-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_a_hook_is_told_which_release_it_works_for_and_where_it_answers(folder: Path) -> None:
    said = folder / "said"
    said.mkdir(mode=0o777)
    write = f"env | grep ^RELEASE_ | sort > {said}/$RELEASE_HOOK"
    hooks = {
        "before_start": write,
        "before_switch": f'{write} && python3 -c "{ASK}" > {said}/answer',
        "after_commit": write,
    }
    site = make_site(folder, QUICK | {"hooks": hooks}, cases=4)
    try:
        site.repository.release("v1.0.0")
        ran = site.deploy("v1.0.0", expect=None)
        assert ran.code in (0, 7), ran.err
        run = site.deployments()[0]
        for hook in hooks:
            told = dict(line.split("=", 1) for line in (said / hook).read_text().splitlines())
            url = told.pop("RELEASE_CANDIDATE_URL")
            assert url.startswith("http://127.0.0.1:")
            assert told["RELEASE_HOOK"] == hook
            assert told["RELEASE_RELEASE"] == run["release"]
            assert told["RELEASE_DEPLOYMENT"] == run["id"]
            assert told["RELEASE_SLOT"] == run["slot"]
            assert told["RELEASE_SERVICE"] == site.scope
        assert '"version": "1.0.0"' in (said / "answer").read_text()
    finally:
        site.remove()
