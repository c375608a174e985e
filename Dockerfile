# One image, two programs: `ingestor` (the server, the load generator, the schema tool) and `ingestor-operator`.
FROM python:3.13-slim AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# Dependencies have a layer of their own, so a change of code doesn't install them again. The environment gets no pip.
COPY requirements.txt ./
RUN python -m venv --without-pip /opt/ingestor \
    && pip --python /opt/ingestor/bin/python install --no-compile --only-binary :all: --require-hashes -r requirements.txt

# The build backend with what it needs, as pinned for development. The wheel is built without isolation, because an
# isolated build would fetch a backend that no lock file pins.
COPY requirements-dev.txt ./
RUN awk '/^[^ ]/ { wanted = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/ } wanted' requirements-dev.txt >backend.txt \
    && python -m venv /opt/backend \
    && /opt/backend/bin/pip install --require-hashes -r backend.txt

COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY operator operator
# Without the test suites of dependencies, 17 MB. With bytecode that is never checked against its source: the root may
# be read-only, and file times may change on the way.
RUN /opt/backend/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && pip --python /opt/ingestor/bin/python install --no-compile --no-deps --no-index dist/*.whl \
    && find /opt/ingestor/lib -type d -name tests -prune -exec rm -r {} + \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/ingestor/lib


FROM python:3.13-slim

COPY --from=builder /opt/ingestor /opt/ingestor
ENV PATH=/opt/ingestor/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /opt/ingestor
USER 65532:65532
EXPOSE 50051 9090
ENTRYPOINT ["ingestor"]
CMD ["serve"]

# Last, because the revision changes with every commit, and the layers above needn't.
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="analytics-ingestor" \
      org.opencontainers.image.description="Metrics over gRPC into TimescaleDB, fast and exactly once" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
