#!/usr/bin/env bash
# Writes the secrets that compose.yaml mounts, each to a file in secrets/, once: what is there stays as it is.
# Containers run as a user of their own and must be able to read the files; the folder is what keeps others out.
set -euo pipefail
cd "$(dirname "$0")"

mkdir -p secrets
chmod 700 secrets
umask 022

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

keep() { # keep FILE TEXT
  if [ ! -e "secrets/$1" ]; then
    printf '%s\n' "$2" >"secrets/$1"
    echo "wrote secrets/$1"
  fi
}

keep postgres_password "$(random)"
keep valkey_auth "requirepass $(random)"
keep secret_keys "$(random)"
keep grafana_password "$(random)"
keep database_url "postgresql://prognetwork:$(cat secrets/postgres_password)@postgres/prognetwork"
keep redis_url "redis://:$(cut -d ' ' -f 2 secrets/valkey_auth)@valkey:6379/0"

# Who else may publish commands. No secret, but it belongs to this installation.
mkdir -p producers
[ -e producers/producers.json ] || echo '{}' >producers/producers.json

# To be filled in for production: Stripe, and one of SendGrid and SMTP.
for name in stripe_api_key sendgrid_api_key smtp_url; do
  if [ ! -e "secrets/$name" ]; then
    : >"secrets/$name"
    echo "wrote secrets/$name, empty: fill it in for production"
  fi
done
