# One package at its base state. The build context holds `repository.git`, the bare
# repository that swerl_eval.demo.repositories.build_repository makes.
FROM swerl-eval/demo-base:latest
COPY repository.git /tmp/repository.git
RUN git clone --branch main /tmp/repository.git /testbed \
    && git -C /testbed remote remove origin \
    && rm -rf /tmp/repository.git \
    && git config --global --add safe.directory /testbed \
    && git config --global user.name "swerl-eval demo" \
    && git config --global user.email "demo@example.invalid"
WORKDIR /testbed
