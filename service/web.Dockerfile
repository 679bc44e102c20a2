# From the root of the repository: docker build -f service/web.Dockerfile -t selfie3d/web .
# Pin the base by its digest with --build-arg PYTHON_IMAGE=python@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS dependencies
WORKDIR /build
RUN python -m venv --without-pip /opt/selfie3d
COPY deploy/locks/web.txt .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/selfie3d/bin/python install --no-compile --no-deps --require-hashes --only-binary :all: -r web.txt \
    && find /opt/selfie3d -name tests -type d -prune -exec rm -r {} +

FROM dependencies AS selfie3d
COPY deploy/locks/build.txt .
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r build.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY client client
COPY service service
COPY cli cli
RUN mkdir worker \
    && pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && pip --python /opt/selfie3d/bin/python install --no-cache-dir --no-compile --no-deps --no-index --root /only /wheels/*.whl

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/selfie3d/bin:$PATH PYTHONDONTWRITEBYTECODE=1
RUN python -m pip uninstall --yes --quiet --root-user-action ignore pip setuptools wheel \
    && rm -r "$(python -c 'import ensurepip; print(*ensurepip.__path__)')" \
    && groupadd --gid 10001 selfie3d \
    && useradd --uid 10001 --gid 10001 --create-home --no-log-init selfie3d
COPY --from=dependencies /opt/selfie3d /opt/selfie3d
COPY --from=selfie3d /only /
# Byte code of what is imported, and of nothing else: a file system that is read-only can take none later.
RUN export PYTHONDONTWRITEBYTECODE= \
    && python -c 'import selfie3d_web.main' \
    && { selfie3d health live --web || true; }
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["selfie3d", "health", "live", "--web"]
CMD ["selfie3d", "web"]
