#!/usr/bin/env bash
# Prints the path of the Python that a new .venv is made with: 3.11 or newer. PYTHON=… chooses one.
#
# One that was built without profile-guided optimisation, as pyenv and a plain ./configure do, takes a quarter longer for
# everything that is Python: where the path has another, that serves, and standard error says so.
# See https://docs.python.org/3/using/configure.html#cmdoption-enable-optimizations.
#
# Options: --with-venv when the environment is to be made by the standard library's venv, which some systems package apart.
set -euo pipefail

needs=sys
[ "${1:-}" = --with-venv ] && needs="sys, venv, ensurepip"

suitable() { "$1" -c "import $needs; sys.exit(sys.version_info < (3, 11))" </dev/null >/dev/null 2>&1; }

# Newer ones do not go before one that the tests are run with.
tried() { "$1" -c 'import sys; sys.exit(sys.version_info >= (3, 14))' </dev/null; }

# Of an environment or a shim the Python behind it: uvx, which runs this, has an environment that is gone some day.
itself() {
  local behind
  behind=$("$1" -c 'import sys; print(sys._base_executable or sys.executable)' </dev/null)
  if suitable "$behind"; then echo "$behind"; else command -v "$1"; fi
}

version() { "$1" -c 'import platform; print(platform.python_version())' </dev/null; }

# Distributions optimise what they install as /usr/bin/python3, and do not all tell by which option.
optimised() {
  "$1" -c '
import sys, sysconfig
sys.exit(sys.base_prefix != "/usr" and "--enable-optimizations" not in (sysconfig.get_config_var("CONFIG_ARGS") or ""))
' </dev/null >/dev/null 2>&1
}

if [ -n "${PYTHON:-}" ]; then
  if ! suitable "$PYTHON"; then
    echo "PYTHON=$PYTHON is no Python 3.11 or newer" >&2
    exit 1
  fi
  itself "$PYTHON"
  exit
fi

# All of these names, the path's first folder first.
candidates() {
  local name
  for name in "$@"; do
    type -aP "$name" || true
  done
}

first=
while IFS= read -r candidate; do
  suitable "$candidate" || continue
  first=${first:-$candidate}
  optimised "$candidate" && { [ "$candidate" = "$first" ] || tried "$candidate"; } || continue
  chosen=$(itself "$candidate")
  if [ "$candidate" != "$first" ]; then
    slow=$(itself "$first")
    echo "$chosen ($(version "$chosen")) serves: $slow ($(version "$slow")) was built without optimisations, and is slower." \
      "To have it all the same: rm -rf .venv, and PYTHON=$slow before the command" >&2
  fi
  echo "$chosen"
  exit
done < <(candidates python3 python3.13 python3.12 python3.11)

while IFS= read -r candidate; do
  suitable "$candidate" || continue
  itself "$candidate"
  exit
done < <(candidates python3 python3.13 python3.12 python3.11 python3.14 python)
exit 1
