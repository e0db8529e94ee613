#!/bin/sh
# Make the secrets of compose.yaml and of the Kubernetes manifests, in docker/secrets: once, nothing is overwritten.
# Usage: secrets.sh HOST [USER...]        HOST is the name in the certificate, USER a person who logs in to Orthanc
#
# The certificate signs itself: put your authority's into tls.crt and tls.key before people use it. Files may be read
# by everybody, since containers run as users of their own, but the folder can be entered by its owner alone.
set -eu
host=$1
shift
folder=$(dirname "$0")/secrets
[ ! -e "$folder" ] || { echo "$folder is there already; remove it to make new secrets" >&2; exit 1; }
mkdir -m 700 "$folder"

secret() { openssl rand -hex 32; }

token=$(secret) orthanc_password=$(secret) postgres_password=$(secret)
printf %s "$token" >"$folder/curia_token"
printf %s "$orthanc_password" >"$folder/curia_orthanc_password"
printf %s "$postgres_password" >"$folder/postgres_password"
printf %s "postgresql+psycopg://curia:$postgres_password@postgres/curia" >"$folder/curia_database_url"
secret | tr -d '\n' >"$folder/grafana_password"
{
    printf '{\n  "RegisteredUsers": {\n    "curia": "%s"' "$orthanc_password"
    for user in "$@"; do
        password=$(secret | cut -c 1-20)
        printf ',\n    "%s": "%s"' "$user" "$password"
        echo "$user: $password" >&2
    done
    printf '\n  },\n  "Curia": { "ServiceUrl": "http://service-1:8790", "Token": "%s" }\n}\n' "$token"
} >"$folder/orthanc.json"
openssl req -x509 -newkey rsa:3072 -nodes -days 365 -subj "/CN=$host" -addext "subjectAltName=DNS:$host" \
    -keyout "$folder/tls.key" -out "$folder/tls.crt" 2>/dev/null
chmod 444 "$folder"/*
