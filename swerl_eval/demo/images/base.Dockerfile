# What all demo images share: Python with pytest, and what a patch is applied with.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        ca-certificates git patch procps python3 python3-pytest \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/*
