"""A service that is killed in the middle of a promotion: its next start serves one whole set, and can be promoted."""

from __future__ import annotations

from pathlib import Path

from tests.modelhost.host.service import PAIR, Service
from tests.modelhost.registry.material import AT_EVERY_CALL, script

KILLED = (
    AT_EVERY_CALL
    + """
    import shutil
    from pathlib import Path
    from modelhost.registry.base import Status
    from modelhost.registry.verify import check_files
    from tests.modelhost.host.service import Service, words

    template, runs = Path(sys.argv[2]), Path(sys.argv[3])
    new = {"model": "1.1.0", "tokenizer": "1.1.0"}

    def serving(number):
        if not (runs / str(number)).exists():
            shutil.copytree(template, runs / str(number))
        service = Service(runs / str(number))
        return service.open(upkeep_seconds=3600.0)

    def promote(host):
        return host.promote(new, who="ann", why="better")

    def looked_at(number):
        host = serving(number)
        for name in new:
            for entry in host.registry.versions(name):
                check_files(entry, full=True)
        assert len(host.registry.versions("model")) == len(host.registry.versions("tokenizer")) == 2
        said = words(host)
        served = {text.split()[-1] for text in said.values()}
        assert len(served) == 1, said
        stable = {host.registry.find(name, "1.1.0").status is Status.STABLE for name in new}
        promote(host)
        assert words(host) == {"model": "model 1.1.0", "tokenizer": "tokenizer 1.1.0"}
        assert {host.registry.find(name, "1.1.0").status for name in new} == {Status.STABLE}
        host.rollback("translation", who="bob", reason="worse")
        assert words(host) == {"model": "model 1.0.0", "tokenizer": "tokenizer 1.0.0"}
        print(served.pop(), "stable" if stable == {True} else "half" if True in stable else "unstable", flush=True)

    def after(number):
        # In a process of its own: this one forks, and a host has threads.
        child = os.fork()
        if child == 0:
            try:
                looked_at(number)
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, number

    killed_at_every_call(promote, after, prepare=serving)
"""
)


def test_a_promotion_killed_at_any_call_has_happened_or_not(tmp_path: Path) -> None:
    template = Service(tmp_path / "template")
    template.path.mkdir()
    template.pair("1.0.0")
    template.pair("1.1.0", stable=False)
    template.write(PAIR)
    process = script(KILLED, template.path, tmp_path / "runs")
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    *seen, killed = output.splitlines()
    assert int(killed) == len(seen) > 10
    # Before the flip was written down; after it; with one of two marked; with both.
    assert seen[0] == "1.0.0 unstable" and seen[-1] == "1.1.0 stable"
    assert {"1.1.0 unstable", "1.1.0 half"} <= set(seen)
