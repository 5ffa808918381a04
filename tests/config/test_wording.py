"""Mistakes in a manifest: told all at once, each with its place, the value given, what is expected, and the mend."""

from __future__ import annotations

import pytest


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines(mistake_of) -> None:
    message = mistake_of(
        "service: Translator\nserviec: x\ncontainer:\n  port: lots\n  memory: loads\nproxy:\n  listn: 3\nretain: 0\n"
    )
    lines = [line for line in message.splitlines() if line.startswith("  - ")]
    assert message.startswith("release.yaml has 6 mistakes:")
    assert [line.split(": ")[0].removeprefix("  - release.yaml, line ") for line in lines] == list("124578")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            "proxy: {listn: 1}\n",
            "proxy.listn is no key of the manifest; did you mean listen?; valid here: kind, switch",
        ),
        ("proxy: {maxBody: 1}\n", "did you mean max_body?"),
        ("proxy: {max-body: 1}\n", "did you mean max_body?"),
        ("port: 80\n", "did you mean container.port?"),
        ("zzz: 1\n", "zzz is no key of the manifest; valid here: service, environment"),
        ("rollout: {observe: {fro: 1}}\n", "did you mean for?"),
        ("checks: {latency: {request: {jsn: 1}}}\n", "did you mean json?"),
    ],
)
def test_unknown_keys_name_the_nearest_and_all_that_are_valid(mistake_of, more: str, words: str) -> None:
    assert words in mistake_of(more)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("proxy: {listen: http}\n", 'line 3: proxy.listen is "http"; expected a whole number'),
        ("proxy: {listen: 0}\n", "proxy.listen is 0; expected 1 or more"),
        ("proxy: {listen: 70000}\n", "proxy.listen is 70000; expected 65535 or less"),
        ("proxy: {listen: 80.5}\n", "proxy.listen is 80.5; expected a whole number"),
        ("registry: {push: perhaps}\n", 'registry.push is "perhaps"; expected true or false'),
        ("drain: soon\n", "drain is not valid: 'soon' is no duration; write a number and ms, s, m, h or d"),
        ("drain: .inf\n", "is no duration"),
        ("proxy: {max_body: big}\n", "'big' is no size; write a number and k, m, g or t"),
        ("rollout: {observe: {max_error_rate: 5}}\n", "5 is no fraction from 0 to 1; write for example 1%"),
        ("freeze: [{from: 25:00}]\n", 'freeze.0.from is "25:00": begin, such as 17:00 or 08:30'),
        ("freeze: [{days: [friday]}]\n", 'freeze.0.days.0 is "friday"; did you mean fri?; expected mon or tue'),
        ("freeze: {days: [fri]}\n", "expected a list"),
        ("proxy: 8080\n", "proxy is 8080; expected keys with values (kind, switch, listen"),
        ("checks: {quality: {cases: a}}\n", "checks.quality.request is missing: the request that answers one case"),
        ("standby: hot\n", 'standby is "hot"; expected warm or cold'),
        ("engine: {kind: dokcer}\n", 'engine.kind is "dokcer"; did you mean docker?; expected docker or process'),
        ("engine: {kind: swarm}\n", "Docker Swarm is not available in this version; expected docker or process"),
        ("rollout: {strategy: canary}\n", "canary rollouts are not available in this version; expected bluegreen"),
        ("rollout: {strategy: shadow}\n", "shadow traffic is not available in this version; expected bluegreen"),
        ("image: a/b:v1\n", "without tag or digest"),
        ("slots: {blue: 9, green: 9}\n", "two different ports"),
        ("proxy: {kind: included}\n", "need `include`"),
        ("proxy: {include: conf.d/x.conf}\n", "absolute path"),
        ("checks: {health: {path: health}}\n", "'health' is no path of a URL; write for example /health"),
        ("checks: {integration: {suite: ../tests}}\n", "leaves the repository"),
        ("build: {dockerfile: /Dockerfile}\n", "leaves the repository"),
        ("labels: {release.slot: blue}\n", "one of the labels that this tool sets"),
        ("environment: Prod\n", "lower-case letters"),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(mistake_of, more: str, words: str) -> None:
    message = mistake_of(more)
    assert words in message
    assert "Value error" not in message
    assert "pydantic" not in message


def test_a_missing_section_says_what_it_is_for(mistake_of) -> None:
    assert "container is missing: port, environment and limits" in mistake_of("service: a\n")
    assert "line 2: container.port is missing" in mistake_of("service: a\ncontainer: {}\n")


def test_a_metric_that_does_not_exist_is_an_unknown_name(mistake_of) -> None:
    quality = "checks: {quality: {cases: a, request: {}, answer: b, metrics: {blue: {floor: 1}}}}\n"
    assert "checks.quality.metrics.blue is no key" in mistake_of(quality)
    assert "did you mean bleu?" in mistake_of(quality)


def test_mistakes_from_the_environment_and_from_flags_say_so(mistake_of) -> None:
    message = mistake_of("", environ={"RELEASE__PROXY__LISTEN": "x", "RELEASE__PORT": "1"}, flags={"drain": "soon"})
    assert "RELEASE__PROXY__LISTEN: proxy.listen is" in message
    assert "RELEASE__PORT: port is no key" in message
    assert "--set drain: drain is not valid" in message
    assert "--set container.volumes: container.volumes is no YAML value" in mistake_of(
        "", flags={"container.volumes": "[a"}
    )


@pytest.mark.parametrize(
    "more",
    [
        "service: a\ncontainer: {port: 1, secrets: {KEY: hunter2}}\n",
        "registry: {password: [hunter2]}\n",
        "notify: {url: hunter2}\n",
        "service: a\ncontainer: {port: 1, env: {API_TOKEN: [hunter2]}}\n",
    ],
)
def test_what_may_be_a_secret_is_not_printed_with_the_mistake(mistake_of, more: str) -> None:
    assert "hunter2" not in mistake_of(more)
