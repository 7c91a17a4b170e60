#!/bin/sh
# Records the captures in this directory from nats-server and nats-py, inside a network namespace of
# its own. Needs root, tcpdump, nats-server and python3 with nats-py (PYTHON names another one that
# has it). The times change with each recording, so the expectations have to be written anew:
#   sudo ./record.sh && UPDATE_EXPECT=1 cargo test -p remora-dissect --test calls
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ]; then
    exec unshare -n "$0" inside
fi
ip link set lo up
work=$(mktemp -d)
cat >"$work/config" <<END
listen: 127.0.0.1:4299
jetstream { store_dir: $work/store }
authorization {
  users = [ { user: ada, password: sesame, permissions: { publish: { deny: "secret.>" }, subscribe: { deny: "secret.>" } } } ]
}
END
nats-server -c "$work/config" >"$work/server" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server; rm -rf "$work"' EXIT
until grep -qs "Server is ready" "$work/server"; do sleep 0.1; kill -0 $server; done
for name in core jetstream errors; do
    tcpdump -i lo -U -s0 -B 16384 --immediate-mode -w "$work/cap" "port 4299" 2>"$work/tcpdump" &
    pid=$!
    until grep -qs listening "$work/tcpdump"; do sleep 0.1; done
    "${PYTHON:-python3}" "$here/clients.py" $name 4299 >"$work/out" 2>&1 || cat "$work/out"
    sleep 0.5
    kill -INT $pid
    wait $pid || true
    cp "$work/cap" "$here/$name.pcap"
    chmod 644 "$here/$name.pcap"
done
