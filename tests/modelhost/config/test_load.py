"""The file: what it means, and that every mistake names file, line, key, what is wrong and what to write."""

import sys
from pathlib import Path

import pytest

from modelhost.cluster.timings import Timings
from modelhost.config.build import adapters, routers
from modelhost.config.load import load
from modelhost.config.model import Settings
from modelhost.errors import ConfigError, Unknown
from modelhost.loading.base import Placement
from modelhost.routing.offers import Offer, Offers
from modelhost.routing.request import RequestFacts, VerifiedRole

WHOLE = """
registry: {root: models}
memory: {budget: 2GiB}
components:
  tokenizer: {pinned: true}
  model:
    default: v1.2.0
    loader: safetensors
    device: cuda:0
    threads: 4
    batch_size: 8
    ttl: 10m
    routable: [1.1.0]
    fallback: json:loads
    environment: warn
    allow_pickles: [old/vocab.bin]
sets:
  translation: [tokenizer, model]
routing:
  translation:
    unknown: default
    features: {tenant: text}
    api: {1: translation/1, 2: {shape: translation/2, version: 2.0.0}}
    rules:
      - name: short
        when: text_length < 20 and user_role == "admin" and tenant != "x"
        version: 1.3.0
    weights:
      name: AB
      salt: ${SALT}
      variants:
        control: {version: stable, share: 90%}
        treatment: {version: 1.3.0, share: 10%}
adapters:
  - from: translation/2
    to: translation/1
    use: shapes_for_test:down
    examples:
      - given: {texts: [a], model: m}
        gives: {text: a}
http:
  tokens: tokens.json
  record: {path: /var/log/requests.jsonl, preview: 40, max_size: 10MB}
  audit: audit.jsonl
notify: ["${HOOK}"]
"""
ENVIRON = {"SALT": "pepper", "HOOK": "json://user:hunter2@example.org"}
LEAST = "registry: {root: models}\ncomponents:\n  model: {}\n"


def loaded(folder: Path, text: str) -> Settings:
    path = folder / "serving.yaml"
    path.write_text(text)
    return load(path, ENVIRON)


def refused(folder: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        loaded(folder, text)
    return error.value


def test_a_whole_file_means_what_it_says(tmp_path: Path) -> None:
    settings = loaded(tmp_path, WHOLE)
    model = settings.components["model"]
    assert model.placement("1.2.0") == Placement("cuda:0", 4, 8)
    assert (model.default, model.routable, model.ttl) == ("1.2.0", ("1.1.0",), 600)
    assert settings.memory.budget == 2 << 30
    assert settings.registry.root == tmp_path / "models"
    assert settings.http.tokens == tmp_path / "tokens.json"
    assert settings.http.record is not None
    assert settings.http.record.path == Path("/var/log/requests.jsonl")
    assert settings.http.record.max_size == 10_000_000
    assert settings.sets["translation"] == ("tokenizer", "model")
    weights = settings.routing["translation"].weights
    assert weights is not None and weights.salt == "pepper"
    assert [(name, one.version, one.share) for name, one in weights.variants.items()] == [
        ("control", None, 900_000),
        ("treatment", "1.3.0", 100_000),
    ]


def test_the_least_that_a_file_holds(tmp_path: Path) -> None:
    settings = loaded(tmp_path, LEAST)
    assert settings.components["model"].default == "latest"
    assert (settings.memory.budget, settings.memory.keep_previous, settings.memory.workers) == (None, True, 1)
    assert settings.notify == ()


def test_a_cluster_has_the_spans_of_its_members_and_a_place_beside_the_file(tmp_path: Path) -> None:
    section = loaded(tmp_path, LEAST + "cluster: {group: greetings, place: shared, heartbeat: 1s}\n").cluster
    assert section is not None
    assert (section.place, section.heartbeat, section.member) == (str(tmp_path / "shared"), 1.0, None)
    elsewhere = loaded(tmp_path, LEAST + "cluster: {group: greetings, place: 's3://bucket/state'}\n").cluster
    assert elsewhere is not None and elsewhere.place == "s3://bucket/state"
    spans = (elsewhere.ttl, elsewhere.heartbeat, elsewhere.poll, elsewhere.patience, elsewhere.retry)
    assert Timings(*spans) == Timings()


def test_what_notify_holds_is_shown_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = loaded(tmp_path, WHOLE)
    assert "hunter2" not in repr(settings)
    assert settings.notify[0].get_secret_value() == ENVIRON["HOOK"]
    assert "hunter2" not in str(refused(tmp_path, LEAST + 'notify: [{url: "${HOOK}"}]\n'))
    with caplog.at_level("DEBUG"):
        assert "hunter2" not in str(refused(tmp_path, LEAST + "notify: ['slack://hunter2', 'nope://a:hunter2@b']\n"))
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LEAST + "memroy: {}\n", "serving.yaml, line 4: memroy is no key that there is; did you mean memory?"),
        (LEAST.replace("{}", "\n    batchSize: 3"), "line 4: components.model.batchSize is no key"),
        (LEAST.replace("{}", "\n    batchSize: 3"), "did you mean batch_size? (valid here: default,"),
        (LEAST.replace("{}", "{threads: many}"), "line 3: components.model.threads is 'many'; write a whole number"),
        (LEAST.replace("{}", "{threads: 0}"), "components.model.threads is 0"),
        (LEAST.replace("{}", "{pinned: on}"), "components.model.pinned is 'on'; write true or false"),
        (LEAST.replace("{}", "{default: newest}"), "components.model.default is 'newest': newest is not valid SemVer"),
        (LEAST.replace("{}", "{default: 1.2}"), "components.model.default is 1.2; write text"),
        (LEAST.replace("{}", "{ttl: 10}"), "components.model.ttl has no unit; write a duration such as 90s or 10m"),
        (LEAST.replace("{}", "{environment: lax}"), "environment is 'lax'; write 'strict', 'warn' or 'off'"),
        (LEAST.replace("{}", "{fallback: /etc/passwd}"), "fallback names no code; write it as package.module:function"),
        (LEAST.replace("{}", "{pinned: true, ttl: 5m}"), "components.model.ttl is never reached, because it is pinned"),
        (LEAST.replace("model:", "Model!:"), "components.Model! is not a valid name; write small letters"),
        (LEAST + "name: my cipher\n", "line 4: name is 'my cipher'; write letters, digits and . _ - without spaces"),
        (LEAST + "notify: [foo]\n", "line 4: notify[0] is no address that apprise knows; write one such as mailtos://"),
        (LEAST + "memory: {budget: 2 apples}\n", "memory.budget has the unit apples; write a size such as 2GiB"),
        (LEAST + "memory: {budget: true}\n", "memory.budget is not a size such as 2GiB"),
        (LEAST + "memory: {keep_previous: maybe}\n", "memory.keep_previous is 'maybe'; write true or false"),
        (LEAST + "memory: {workers: 0}\n", "memory.workers is 0"),
        (LEAST + "memory: {workers: 1.5}\n", "memory.workers is 1.5; write a whole number"),
        (LEAST + "sets: {all: [model, modle]}\n", "sets.all[1] names modle, which is no component; did you mean"),
        (LEAST + "sets: {all: [model]}\n", "sets.all is too short; write at least 2"),
        (LEAST + "routing: {modell: {}}\n", "routing.modell names modell, which is no component or set; did you mean"),
        (
            LEAST + "routing: {model: {weights: {name: AB, variants: {a: {version: stable, share: 10}}}}}\n",
            "routing.model.weights.variants.a.share is not a share from 0% to 100%; write it like 10%",
        ),
        (
            LEAST + "routing:\n  model:\n    rules: [{name: a, when: textlength < 2, version: stable}]\n",
            "routing.model.rules[0].when: there is no feature 'textlength' (column 1",
        ),
        (
            LEAST + "routing: {model: {weights: {name: AB, variants: "
            "{a: {version: stable, share: 60%}, b: {version: 1.0.0, share: 60%}}}}}\n",
            "routing.model.weights: the shares of the experiment AB make 120 %",
        ),
        (LEAST + "routing: {model: {features: {user_role: text}}}\n", "the feature user_role is there already"),
        (LEAST + "adapters: [{from: a/1, to: b/1, use: x:y}]\n", "line 4: adapters[0].examples is missing"),
        ("components: {model: {}}\n", "serving.yaml: registry is missing"),
        ("registry: {}\ncomponents: {model: {}}\n", "line 1: registry needs either `root`, a folder, or `url`"),
        ("registry: {url: s3://b}\ncomponents: {model: {}}\n", "registry needs `cache`, a local folder"),
        (LEAST + "registry: {root: other}\n", "line 4: registry is given twice"),
        (LEAST + "cluster: {}\n", "line 4: cluster.group is missing"),
        (LEAST + "cluster: {group: a, ttl: 10}\n", "cluster.ttl has no unit; write a duration such as 90s or 10m"),
        (LEAST + "cluster: {group: a, ttl: 5s}\n", "cluster has a ttl of 5 s, which takes the living for dead"),
        (LEAST + "cluster: {group: A b}\n", "cluster.group is 'A b'"),
        (LEAST + "cluster: {group: a, beat: 1s}\n", "cluster.beat is no key that there is"),
        (LEAST + "notify: ['${NOBODY}']\n", "line 4: notify[0] needs the environment variable NOBODY"),
        (LEAST + "memory: !!python/object/apply:os.system [ls]\n", "memory"),
        ("a: [\n", "serving.yaml, line 2, column 1"),
        ("- a\n", "holds no mapping"),
        ("", "holds no mapping"),
        ("a: &x [*x]\n", "an anchor in itself"),
        ("a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
         "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d]\n", "holds too much"),
        ("[" * 5000, "serving.yaml"),
    ],
)  # fmt: skip
def test_a_mistake_names_its_place_and_what_to_write(tmp_path: Path, text: str, said: str) -> None:
    error = refused(tmp_path, text)
    assert said in error.message
    assert "serving.yaml" in error.message


@pytest.mark.parametrize(
    "registry", ["{root: 's3://bucket/models'}", "{url: 's3://bucket/models', cache: 's3://bucket/cache'}"]
)
def test_a_url_where_a_folder_belongs_is_refused_with_the_key_for_it(tmp_path: Path, registry: str) -> None:
    text = LEAST.replace("{root: models}", registry)
    assert "is a URL, and a folder is wanted; write `url` for it" in str(refused(tmp_path, text))


def test_a_feature_that_is_built_in_is_refused_with_the_names_of_all_of_them(tmp_path: Path) -> None:
    error = refused(tmp_path, LEAST + "routing: {model: {features: {text_length: number}}}\n")
    assert error.hint == "give yours another name than api, language, text_length, user_role"


def test_all_mistakes_of_a_kind_are_told_at_once(tmp_path: Path) -> None:
    message = refused(tmp_path, LEAST.replace("{}", "{threads: 0, device: 7}") + "nonsense: 1\n").message
    assert len(message.splitlines()) == 3


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"x" * (2 << 20)])
def test_what_is_no_text_of_a_sensible_size_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        load(tmp_path / "c.yaml", {})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml: No such file"):
        load(tmp_path / "nothing.yaml", {})


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = 'def down(answer):\n    return {"text": answer["texts"][0], **answer}\nnumber = 3\n'
    (tmp_path / "shapes_for_test.py").write_text(code)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "shapes_for_test", raising=False)


@pytest.mark.usefixtures("shapes")
def test_a_file_becomes_a_router_with_proven_adapters(tmp_path: Path) -> None:
    settings = loaded(tmp_path, WHOLE)
    proven = adapters(settings)
    assert proven.adapt({"texts": ["hi"], "model": "m", "new": 1}, "translation/2", "translation/1") == {"text": "hi"}
    built = routers(settings, proven, lambda: 0.95)
    assert sorted(built) == ["model", "tokenizer", "translation"]
    offers = Offers(
        "translation",
        "2.0.0",
        {"1.3.0": Offer("1.3.0", "translation/1", True), "2.0.0": Offer("2.0.0", "translation/2", True)},
    )
    facts = RequestFacts(role=VerifiedRole("admin", "ann"), features={"text_length": 3, "tenant": "y"})
    assert built["translation"].choose(facts, offers).reason == "rule short"
    assert built["translation"].choose(RequestFacts(), offers).variant == "AB:treatment"
    old = built["translation"].choose(RequestFacts(api=1, version="2.0.0"), offers)
    assert (old.version, old.shape) == ("2.0.0", "translation/1")
    with pytest.raises(Unknown):
        built["model"].choose(RequestFacts(version="9.0.0"), offers)


@pytest.mark.usefixtures("shapes")
@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("gives: {text: a}", "gives: {text: b}", 'adapters[0]: example 1 of the adapter translation/2 → translation/1'),
        ("gives: {text: a}", "gives: {text: b}", '-  "text": "b"\n+  "text": "a"'),
        ("shapes_for_test:down", "shapes_for_test:up", "adapters[0]: shapes_for_test has no up"),
        ("shapes_for_test:down", "shapes_for_test:number", "adapters[0]: shapes_for_test:number is a int"),
        ("shapes_for_test:down", "nobody_has_it", "adapters[0]: no entry point 'nobody_has_it'"),
    ],
)  # fmt: skip
def test_an_adapter_that_is_not_right_refuses_the_start(tmp_path: Path, before: str, after: str, said: str) -> None:
    settings = loaded(tmp_path, WHOLE.replace(before, after))
    with pytest.raises(ConfigError) as error:
        adapters(settings)
    assert said in error.value.message
