#!/bin/bash
# Records the captures in this directory from aiosmtpd with swaks and smtplib, inside a network
# namespace of its own. Needs root, tcpdump, swaks, openssl and a python3 with aiosmtpd (PYTHON).
# The times change with each recording, so the expectations have to be written anew:
#   sudo PYTHON=venv/bin/python ./record.sh && ./oracle.sh && UPDATE_EXPECT=1 cargo test -p remora-dissect --test calls
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ]; then
    exec unshare -n "$0" inside
fi
python=${PYTHON:-python3}
ip link set lo up
work=$(mktemp -d)
servers=
trap 'kill $servers 2>/dev/null; rm -rf "$work"' EXIT

# record NAME COMMAND...: what the command says.
record() {
    local name=$1
    shift
    tcpdump -i lo -U -s0 --immediate-mode -w "$work/cap" "tcp port 2525 or tcp port 2424" 2>"$work/log" &
    local pid=$!
    until grep -q listening "$work/log"; do sleep 0.1; done
    "$@" >"$work/out.$name" 2>&1 || true
    sleep 0.5
    kill -INT $pid
    wait $pid || true
    cp "$work/cap" "$here/$name.pcap"
    chmod 644 "$here/$name.pcap"
    cat "$work/out.$name"
}

openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=localhost \
    -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
"$python" "$here/server.py" "$work" >"$work/server" 2>&1 &
servers=$!
for port in 2525 2424; do
    until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do sleep 0.1; done
done

mails() {
    swaks --server 127.0.0.1:2525 --ehlo client.example --from anna@shop.example \
        --to bert@shop.example,cora@shop.example --h-Subject 'Invoice 17' --body 'Dear both,\n.dots at the start\nbye'
    swaks --server 127.0.0.1:2525 --protocol SMTP --helo old.example --from '<>' --to nobody@shop.example
    swaks --server 127.0.0.1:2525 --ehlo client.example --from anna@shop.example --to full@shop.example --pipeline
    swaks --server 127.0.0.1:2525 --auth PLAIN --auth-user anna --auth-password secret-anna --quit-after AUTH
    swaks --server 127.0.0.1:2525 --auth LOGIN --auth-user anna --auth-password wrong --quit-after AUTH
}
record mails mails
record starttls "$python" "$here/session.py" starttls
record session "$python" "$here/session.py"
