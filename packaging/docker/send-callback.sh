#!/bin/sh
# sh send-callback.sh SECRET-FILE API-KEY URL [curl's options]: sends a signed callback.
set -eu
secret=$(cat "$1") api_key=$2 url=$3
shift 3
body='{"event":"test"}'
application=aaaaaaaa-bbbb-cccc-dddd-0123456789ab     # yours, where the policy lists applications
base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
hash=$(printf %s "$body" | openssl dgst -sha256 -r | cut -d ' ' -f 1)
head=$(printf %s '{"alg":"HS256","typ":"JWT"}' | base64url)
claims=$(printf '{"iat":%s,"jti":"%s","iss":"Vonage","payload_hash":"%s","api_key":"%s","application_id":"%s"}' \
    "$(date +%s)" "$(openssl rand -hex 16)" "$hash" "$api_key" "$application" | base64url)
signature=$(printf %s "$head.$claims" | openssl dgst -sha256 -hmac "$secret" -binary | base64url)
curl -sSi "$url" -H "Authorization: Bearer $head.$claims.$signature" -H 'Content-Type: application/json' \
    --data-binary "$body" "$@"
