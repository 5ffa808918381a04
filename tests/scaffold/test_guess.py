"""Port and health path are guessed from where a Dockerfile says them, and say from where and how sure."""

from __future__ import annotations

import pytest

from release.scaffold import Certainty

PYTHON = "FROM python:3.11-slim\n"


@pytest.mark.parametrize(
    ("dockerfile", "port", "certainty", "line"),
    [
        ('CMD ["uvicorn", "app:app", "--host", "0.0.0.0", "--port", "8123"]', "8123", "sure", 2),
        ('EXPOSE 80\nCMD ["uvicorn", "app:app", "--port=8123"]', "8123", "sure", 3),
        ("CMD gunicorn -w 4 -b 0.0.0.0:5001 app:app", "5001", "sure", 2),
        ("CMD gunicorn --bind=:5002 app:app", "5002", "sure", 2),
        ("CMD gunicorn -b unix:/tmp/s app:app", "8000", "likely", 2),
        ("CMD wait-for db:5432 -- flask run -h 0.0.0.0 -p 5003", "5003", "sure", 2),
        ("CMD python manage.py runserver 0.0.0.0:8004", "8004", "sure", 2),
        ("CMD python -m http.server 8005", "8005", "sure", 2),
        ("CMD sh -c 'exec uvicorn app:app --port ${PORT:-8006}'", "8006", "sure", 2),
        ("ENV PORT=8007\nCMD uvicorn app:app --port $PORT", "8007", "sure", 3),
        ("CMD streamlit run app.py --server.port=8008", "8008", "sure", 2),
        ('ENTRYPOINT ["vllm", "serve", "--port", "8009"]\nCMD ["--model", "x"]', "8009", "sure", 2),
        ("expose 3001\ncmd node server.js", "3001", "sure", 2),
        ("EXPOSE 9999/udp 3002/tcp", "3002", "sure", 2),
        ("EXPOSE 3003 3004", "3003", "likely", 2),
        ("ENV PORT 3004\nEXPOSE 3003 3004", "3004", "sure", 3),
        ("ARG PORT=3005\nEXPOSE ${PORT}", "3005", "sure", 3),
        ("ENV A=1 \\\n    PORT=3006", "3006", "likely", 2),
        ("CMD streamlit run app.py", "8501", "likely", 2),
        ("CMD flask run", "5000", "likely", 2),
        ("CMD /usr/local/bin/gunicorn app:app", "8000", "likely", 2),
        ("EXPOSE http\nCMD run", "8000", "a guess", None),
        ("CMD run --port 99999", "8000", "a guess", None),
        ("RUN <<EOF\nEXPOSE 1\nEOF\nEXPOSE 3007", "3007", "sure", 5),
        ("EXPOSE 1\nFROM scratch\nCOPY --from=0 /a /a\nEXPOSE 3008", "3008", "sure", 5),
    ],
)
def test_the_port_comes_from_what_says_it_best(findings_of, dockerfile, port, certainty, line) -> None:
    found = findings_of(PYTHON + dockerfile + "\n").port
    assert (found.value, found.certainty, found.line) == (port, certainty, line)


@pytest.mark.parametrize(
    ("name", "text", "port"),
    [
        ("server_dot_js", "const a = 1;\napp.listen(3100, () => {})", "3100"),
        ("server_dot_js", "const port = process.env.PORT || 3101;", "3101"),
        ("main_dot_py", "app.run(host='0.0.0.0', port=3102)", "3102"),
        ("main_dot_py", 'port = int(os.environ.get("PORT", "3103"))', "3103"),
        ("main_dot_go", 'http.ListenAndServe(":3104", nil)', "3104"),
    ],
)
def test_source_text_speaks_where_the_dockerfile_is_silent(findings_of, name, text, port) -> None:
    found = findings_of(PYTHON + "CMD run\n", **{name: text}).port
    assert (found.value, found.certainty, found.place) == (port, Certainty.LIKELY, name.replace("_dot_", "."))


@pytest.mark.parametrize(
    ("check", "path"),
    [
        ("CMD curl -f http://localhost:8000/health || exit 1", "/health"),
        ("--interval=5s CMD curl --fail localhost:5000/status/ready?full=1 || exit 1", "/status/ready"),
        ('CMD ["wget", "-qO-", "http://127.0.0.1/up"]', "/up"),
        ("CMD curl -f http://localhost:8000 || exit 1", "/"),
        ("--timeout=3s \\\n  CMD python -c \"import urllib.request as r; r.urlopen('http://[::1]:80/ok')\"", "/ok"),
        ('CMD ["python", "-c", "r.urlopen(f\'http://127.0.0.1:{os.environ[\\"PORT\\"]}/healthz\', t=4)"]', "/healthz"),
    ],
)
def test_the_health_path_comes_from_healthcheck(findings_of, check, path) -> None:
    found = findings_of(f"{PYTHON}HEALTHCHECK {check}\n").health
    assert (found.value, found.certainty, found.line) == (path, Certainty.SURE, 2)


@pytest.mark.parametrize("check", ["NONE", "CMD ./check.sh", "CMD curl http://localhost/${HEALTH}"])
def test_a_healthcheck_that_names_no_path_leaves_the_question_to_the_source(findings_of, check) -> None:
    found = findings_of(f"{PYTHON}HEALTHCHECK {check}\n", app_dot_py='@app.get("/ready")\n').health
    assert (found.value, found.certainty, found.place, found.line) == ("/ready", Certainty.LIKELY, "app.py", 1)


def test_a_route_goes_before_a_mere_mention_and_readiness_before_liveness(findings_of) -> None:
    found = findings_of(
        PYTHON,
        a_dot_py='URL = "/readyz"\n',
        b_dot_py='x = 1\n@app.route("/health")\ndef h(): ...\n@app.route("/ping")\ndef p(): ...\n',
    ).health
    assert (found.value, found.place, found.line) == ("/health", "b.py", 2)


def test_tests_and_vendored_code_are_not_asked(findings_of) -> None:
    found = findings_of(PYTHON, tests__t_dot_py='get("/health")', node_modules__m_dot_js='get("/healthz")').health
    assert (found.value, found.certainty) == ("/", Certainty.GUESS)


def test_longer_paths_are_not_cut(findings_of) -> None:
    found = findings_of(PYTHON, app_dot_py='@app.get("/health/details")\n').health
    assert found.value == "/"
