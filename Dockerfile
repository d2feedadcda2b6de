# Linted by `make lint`; the wheel is built from what it copies by tests/deploy/test_dockerfile.py.
# No check builds or runs the image.
#
# Nothing here depends on the architecture: docker buildx build --platform linux/amd64,linux/arm64 .
# Another Python:    docker build --build-arg PYTHON=3.12 .
# A pinned base, as its tag may change (docker buildx imagetools inspect python:3.11-slim):
#                    docker build --build-arg BASE=python:3.11-slim@sha256:… .

ARG PYTHON=3.11
ARG BASE=python:${PYTHON}-slim

FROM ${BASE} AS build
WORKDIR /build
RUN python -m venv /opt/dragoman
COPY requirements.lock ./
RUN /opt/dragoman/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src ./src
RUN /opt/dragoman/bin/pip install --no-cache-dir --no-index --no-deps --no-build-isolation .

FROM ${BASE}
ARG BASE
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="Dragoman" \
      org.opencontainers.image.description="One self-hosted user directory that speaks the Users APIs which applications already have." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
RUN useradd --uid 10001 --user-group --no-create-home dragoman \
    && install -d -o dragoman -g dragoman -m 0700 /var/lib/dragoman
COPY --from=build /opt/dragoman /opt/dragoman
ENV PATH=/opt/dragoman/bin:$PATH PYTHONUNBUFFERED=1
# By default the SQLite file and the server's key are created here.
WORKDIR /var/lib/dragoman
VOLUME /var/lib/dragoman
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["dragoman", "serve", "--host", "0.0.0.0", "--port", "8000"]
