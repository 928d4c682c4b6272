#!/usr/bin/env bash
# Prints the path of the Python that .venv is made with: 3.11 or newer. PYTHON=… chooses one.
#
# One that was built without profile-guided optimisation, as pyenv and a plain ./configure do, takes a quarter longer for
# everything that is Python: where this machine has another, that serves, and standard error says so.
# See https://docs.python.org/3/using/configure.html#cmdoption-enable-optimizations.
#
# Options: --with-venv when the environment is to be made by the standard library's venv, which some systems package apart.
set -euo pipefail

needs=sys
[ "${1:-}" = --with-venv ] && needs="sys, venv, ensurepip"

suitable() { "$1" -c "import $needs; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1; }

# Distributions optimise what they install as /usr/bin/python3, and do not all tell by which option.
optimised() {
  "$1" -c '
import sys, sysconfig
sys.exit(sys.base_prefix != "/usr" and "--enable-optimizations" not in (sysconfig.get_config_var("CONFIG_ARGS") or ""))
' >/dev/null 2>&1
}

if [ -n "${PYTHON:-}" ]; then
  if ! suitable "$PYTHON"; then
    echo "PYTHON=$PYTHON is no Python 3.11 or newer that can make an environment" >&2
    exit 1
  fi
  command -v "$PYTHON"
  exit
fi

first=
for name in python3 python3.13 python3.12 python3.11 python3.14 python; do
  while read -r candidate; do
    suitable "$candidate" || continue
    if optimised "$candidate"; then
      if [ -n "$first" ]; then
        echo "$candidate serves: $first was built without optimisations, and is slower (PYTHON=$first to have it)" >&2
      fi
      echo "$candidate"
      exit
    fi
    first=${first:-$candidate}
  done < <(type -aP "$name")
done
[ -n "$first" ] || exit 1
echo "$first"
