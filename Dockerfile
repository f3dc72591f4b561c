# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
# The service with its checkpoint, on a CPU:
#   docker build --tag rdfer . && docker run --rm --publish 127.0.0.1:8000:8000 rdfer
FROM python:3.12-slim AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY modeling_rdfer modeling_rdfer
COPY hub_cards hub_cards
COPY tests/data tests/data
# PyTorch for CPUs: the packages of PyPI bring gigabytes of libraries for GPUs.
RUN python -m venv /opt/rdfer && \
    /opt/rdfer/bin/pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu \
        --constraint constraints.txt torch torchvision && \
    /opt/rdfer/bin/pip install --no-cache-dir --constraint constraints.txt ".[serve]"

FROM python:3.12-slim
COPY --from=build /opt/rdfer /opt/rdfer
ENV PATH=/opt/rdfer/bin:$PATH HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1
# No user of the system, and no right to write anything but temporary files.
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --start-period=120s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health')"]
ENTRYPOINT ["rdfer", "serve", "--host", "0.0.0.0"]
