# The bundled translator. Builds without network: the wheels lie in wheelhouse/, which the toolkit puts into the context.
# By hand: pip download --require-hashes --only-binary :all: -r requirements-frozen.txt -d wheelhouse && docker build .
# Written for the classic builder: no mounts, no heredocs. Any base with a Python 3.11 that can make a venv will do.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS dependencies
WORKDIR /build
COPY requirements-frozen.txt ./
COPY wheelhouse/ wheelhouse/
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/python -m pip install --no-cache-dir --no-index --find-links wheelhouse \
        --require-hashes -r requirements-frozen.txt \
    && /opt/venv/bin/python -m pip uninstall --yes pip \
    && cd /opt/venv/lib/python3.11/site-packages/torch \
    && rm -rf include test bin/test_* bin/protoc*

# The models as versions of one registry, converted for CTranslate2 as well. Only what decides their bytes is copied, so
# that a release of other code shares this layer with the one before.
FROM ${BASE_IMAGE} AS weights
COPY --from=dependencies /opt/venv /opt/venv
WORKDIR /app
COPY modelhost/__init__.py modelhost/errors.py modelhost/metadata.py modelhost/
COPY modelhost/registry modelhost/registry
COPY translator/__init__.py translator/bundle.py translator/compiled.py translator/conversion.py translator/cpus.py \
    translator/errors.py translator/metadata.py translator/model.py translator/network.py \
    translator/postprocessing.json translator/postprocessing.py translator/settings.py translator/text.py \
    translator/tokenizer.py translator/torch_engine.py translator/
COPY translator/models translator/models
RUN mkdir state && OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 /opt/venv/bin/python -m translator.bundle registry

FROM ${BASE_IMAGE}
COPY --from=dependencies /opt/venv /opt/venv
WORKDIR /app
# Both are written where a model is switched in the running service; name a volume to keep that beyond a release.
COPY --from=weights --chown=10001:10001 /app/registry registry
COPY --from=weights --chown=10001:10001 /app/state state
COPY translator/models/*.md translator/models/
COPY translator/page translator/page
COPY modelhost modelhost
COPY translator/*.py translator/*.json translator/*.tsv translator/

# Threads are counted at the start, from the container's limits; waiting ones must not spin on a shared host.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_WAIT_POLICY=PASSIVE \
    TRANSLATOR_REGISTRY=/app/registry \
    TRANSLATOR_STATE=/app/state \
    HF_HUB_OFFLINE=1 \
    HOME=/tmp \
    PORT=5000
ARG RELEASE_VERSION=""
ARG RELEASE_REVISION=""
ARG RELEASE_CREATED=""
ENV RELEASE_VERSION=$RELEASE_VERSION RELEASE_REVISION=$RELEASE_REVISION RELEASE_CREATED=$RELEASE_CREATED

USER 10001:10001
EXPOSE 5000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health', timeout=4)"]
CMD ["python", "-m", "translator"]
