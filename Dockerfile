# Linted by `make lint`; no check builds or runs it.

FROM python:3.11-slim AS build
WORKDIR /build
RUN python -m venv /opt/dragoman
COPY requirements.lock ./
RUN /opt/dragoman/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src ./src
RUN /opt/dragoman/bin/pip install --no-cache-dir --no-index --no-deps --no-build-isolation .

FROM python:3.11-slim
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
