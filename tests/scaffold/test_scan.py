"""Looking at a repository: where its Dockerfile is, what the service is called, and what stops the look."""

from __future__ import annotations

import subprocess

import pytest

from release.errors import UsageError
from release.scaffold import Certainty, scan


def free(port: int) -> bool:
    return True


def test_no_dockerfile_names_the_fix(repository) -> None:
    with pytest.raises(UsageError, match=r"(?s)no Dockerfile in .*add a Dockerfile.*--dockerfile"):
        scan(repository(None, app_dot_py=""), is_free=free)


def test_a_dockerfile_without_from_is_none(repository) -> None:
    with pytest.raises(UsageError, match="no FROM"):
        scan(repository("EXPOSE 80\n"), is_free=free)


@pytest.mark.parametrize("name", ["Containerfile", "docker__Dockerfile", "deploy__Dockerfile"])
def test_dockerfiles_lie_in_usual_places(repository, name: str) -> None:
    root = repository(None, **{name: "FROM a\nEXPOSE 81\n"})
    findings = scan(root, is_free=free)
    assert findings.dockerfile == name.replace("__", "/")
    assert findings.port.place == findings.dockerfile


def test_a_dockerfile_can_be_named(repository) -> None:
    root = repository("FROM a\nEXPOSE 81\n", images__Dockerfile_dot_gpu="FROM a\nEXPOSE 82\n")
    assert scan(root, dockerfile="images/Dockerfile.gpu", is_free=free).port.value == "82"
    for missing in ("nowhere", "../Dockerfile"):
        with pytest.raises(UsageError, match="no file"):
            scan(root, dockerfile=missing, is_free=free)


def test_the_service_is_named_after_the_remote_else_the_folder(repository) -> None:
    root = repository("FROM a\n")
    assert (scan(root, is_free=free).service.value, scan(root, is_free=free).service.certainty) == ("my-app", "likely")
    subprocess.run(["git", "init", "-q", root], check=True)
    remote = "git@example.com:team/My_Translator.Service.git"
    subprocess.run(["git", "-C", root, "remote", "add", "origin", remote], check=True)
    found = scan(root, is_free=free).service
    assert (found.value, found.certainty) == ("my-translator-service", Certainty.LIKELY)


def test_a_worktree_knows_the_remote_too(repository, tmp_path) -> None:
    root = repository("FROM a\n")
    git = ["git", "-C", root, "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "init", "-q", root], check=True)
    subprocess.run([*git, "remote", "add", "origin", "https://example.com/team/shop/"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "a"], check=True)
    subprocess.run([*git, "worktree", "add", "-q", tmp_path / "tree"], check=True, capture_output=True)
    assert scan(tmp_path / "tree", is_free=free).service.value == "shop"


def test_ports_of_other_services_are_left_to_them(repository) -> None:
    root = repository("FROM a\n")
    first = scan(root, is_free=free).ports
    second = scan(root, taken={first.listen, first.admin, first.blue, first.green}, is_free=free).ports
    assert not {second.listen, second.admin, second.blue, second.green} & {first.listen, first.blue, first.green}


def test_what_was_found_is_told_with_place_and_certainty(repository) -> None:
    root = repository("FROM a\nEXPOSE 80\n", Dockerfile_dot_gpu="FROM b\n", tests__integration__test_a_dot_py="")
    findings = scan(root, is_free=free)
    told = "\n".join(findings.told())
    assert "port 80: Dockerfile, line 2: EXPOSE 80 (sure)" in told
    assert "health path /: nothing names a health path" in told
    assert "other Dockerfiles: Dockerfile.gpu" in told
    assert "no git repository yet" in told
    assert findings.suite == "tests/integration"


def test_links_and_large_files_are_not_followed(repository, tmp_path) -> None:
    root = repository("FROM a\n", big_dot_py='get("/health")' + "#" * (1 << 20))
    (tmp_path / "secret.py").write_text('get("/healthz")')
    (root / "link.py").symlink_to(tmp_path / "secret.py")
    assert scan(root, is_free=free).health.value == "/"
