# docker build -t p2o .
# The demo, whose run is then in ./runs, as yours:
#   mkdir -p runs && docker run --rm --user "$(id -u):$(id -g)" -e HOME=/tmp -v "$PWD/runs:/p2o/runs" p2o
# Any other command:
#   docker run --rm --gpus all --user ... -v ... p2o p2o-train trainer=gpu ...
FROM python:3.11-slim

# torch.compile and optimizer=adamw_8bit compile what they run.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

# Dependencies change less often than p2o, so they are a layer of their own. Torch is pinned apart
# from the rest, as in the Makefile: its builds need different companions.
COPY requirements/runtime.txt /tmp/requirements/runtime.txt
RUN pip install --no-cache-dir torch==2.13.0 \
    && pip install --no-cache-dir -r /tmp/requirements/runtime.txt

COPY pyproject.toml README.md LICENSE /tmp/p2o/
COPY p2o /tmp/p2o/p2o
COPY callbacks /tmp/p2o/callbacks
COPY conf /tmp/p2o/conf
RUN pip install --no-cache-dir --no-deps /tmp/p2o \
    && rm -rf /tmp/p2o \
    && useradd --create-home p2o \
    && mkdir --mode=777 /p2o

USER p2o
WORKDIR /p2o
CMD ["p2o-train"]
