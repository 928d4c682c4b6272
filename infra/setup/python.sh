#!/usr/bin/env bash
# Makes .venv in the project's folder: Python 3.11 or newer, what requirements.lock pins, and the project itself.
# Uses uv where it is found, else the standard library's venv and pip. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
  echo "task setup: $1" >&2
  exit 1
}

if command -v uv >/dev/null; then
  uv=(uv)
elif python3 -m uv --version >/dev/null 2>&1; then
  uv=(python3 -m uv)
else
  uv=()
fi

find_python() {
  if [ ${#uv[@]} -gt 0 ]; then
    bash infra/setup/find-python.sh || "${uv[@]}" python find '>=3.11' 2>/dev/null
  else
    # Without what venv needs, the failure of venv itself says what to install.
    bash infra/setup/find-python.sh --with-venv || bash infra/setup/find-python.sh
  fi
}

# An environment of another place or of a Python that is gone is made anew.
if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
  if [ -n "${PYTHON:-}" ]; then
    python=$(bash infra/setup/find-python.sh) || exit 1
  else
    python=$(find_python) || fail "no Python 3.11 or newer found - install one, such as with your system's packages"
  fi
  echo "Making .venv with $("$python" --version)…"
  rm -rf .venv
  if [ ${#uv[@]} -gt 0 ]; then
    "${uv[@]}" venv --quiet --python "$python" .venv
  else
    "$python" -m venv .venv || fail "python -m venv failed - install your system's python3-venv package, or uv"
  fi
fi

# On a terminal uv shows its progress.
quiet=--quiet
[ -t 2 ] && quiet=

echo "Installing $(grep -c '^[a-z0-9]' requirements.lock) pinned packages…"
if [ ${#uv[@]} -gt 0 ]; then
  "${uv[@]}" pip install $quiet --python .venv/bin/python --require-hashes -r requirements.lock
  "${uv[@]}" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
else
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
fi

# So that the first start does not spend its time on it.
.venv/bin/python -m compileall -q -j 0 .venv/lib contracts broker workers edge-api/prog_edge scheduler infra >/dev/null || true
