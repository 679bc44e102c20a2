FROM python:3.11-slim
RUN useradd --create-home --uid 10001 selfie3d
WORKDIR /app
COPY pyproject.toml README.md ./
COPY client client
COPY cli cli
COPY service service
RUN mkdir worker && pip install --no-cache-dir '.[web]'
USER selfie3d
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["selfie3d", "health", "live", "--web"]
CMD ["selfie3d", "web"]
