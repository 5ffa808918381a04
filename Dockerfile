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

FROM ${BASE_IMAGE} AS weights
WORKDIR /app/translator
COPY translator/models models
RUN find models -mindepth 1 -maxdepth 1 ! -name SERVE ! -name '*.md' ! -name "$(cat models/SERVE)" -exec rm -rf {} +

FROM ${BASE_IMAGE}
COPY --from=dependencies /opt/venv /opt/venv
WORKDIR /app
COPY --from=weights /app/translator/models translator/models
COPY translator/page translator/page
COPY translator/*.py translator/

# One thread a process: spinning or competing OpenMP threads cost more than they bring on a shared host.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_NUM_THREADS=1 \
    OMP_WAIT_POLICY=PASSIVE \
    TRANSLATOR_THREADS=1 \
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
