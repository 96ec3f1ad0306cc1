# syntax=docker/dockerfile:1
#
#   docker build -t unstuck .
#   docker run -p 8500:8500 -p 8501:8501 -v /models/my_model:/models/my_model -e MODEL_NAME=my_model unstuck
#
# It takes the place of tensorflow/serving: the same ports, variables, entry point and flags. docs/deploy.md says more.

ARG PYTHON=3.11
FROM python:${PYTHON}-slim-bookworm AS build

# Which frameworks are in it: TensorFlow with TF Text, as in tensorflow/serving, and ONNX Runtime.
ARG EXTRAS=tensorflow,text,onnx

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE CHANGELOG.md ./
COPY src src
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /opt/unstuck \
    && /opt/unstuck/bin/pip install --constraint constraints.txt ".[${EXTRAS}]" \
    && /opt/unstuck/bin/pip uninstall --yes pip


FROM python:${PYTHON}-slim-bookworm

COPY --from=build /opt/unstuck /opt/unstuck
COPY --chmod=755 docker/tf_serving_entrypoint.sh /usr/bin/
RUN ln -s /opt/unstuck/bin/tensorflow_model_server /usr/bin/tensorflow_model_server \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp unstuck \
    && mkdir /models

# Whatever it writes (copies of remote models, converted models) goes to /tmp: all else may be read-only.
ENV PATH=/opt/unstuck/bin:$PATH \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MODEL_BASE_PATH=/models \
    MODEL_NAME=model

USER 10001:10001
EXPOSE 8500 8501
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 CMD ["unstuck", "health"]
ENTRYPOINT ["/usr/bin/tf_serving_entrypoint.sh"]
