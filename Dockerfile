# The server alone: the wheel with the extra `serve`; neither PyTorch nor the training code's needs.
#
#     docker build --tag sentiment-lstm:0.1.0 .
#     docker run --rm --publish 8000:8000 --volume "$PWD/model:/model:ro" sentiment-lstm:0.1.0

# What the page and /docs run on, as `make page` fetches it.
FROM node:20-slim AS page
WORKDIR /source
COPY web web
RUN npm ci --prefix web --ignore-scripts --omit=dev --no-audit --no-fund \
    && node web/vendor.mjs

FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY requirements requirements
COPY src src
COPY --from=page /source/src src
# `pip wheel`, so that the image below needs neither a compiler nor the sources.
RUN pip wheel --no-cache-dir --wheel-dir /wheels \
        --constraint requirements/constraints.txt '.[serve]'

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin server
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --no-deps /wheels/*.whl
ENV PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8000
# Python, because the slim image has no curl.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
# The list form, so that the server itself gets the SIGTERM of `docker stop`.
ENTRYPOINT ["sentiment-lstm", "serve"]
CMD ["/model", "--host", "0.0.0.0", "--port", "8000"]
