#!/bin/sh
# Records the captures in this directory from RabbitMQ and pika, inside a network namespace of its
# own. Needs root, tcpdump, rabbitmq-server and python3 with pika (PYTHON names another one that has
# it). The times change with each recording, so the expectations have to be written anew:
#   sudo ./record.sh && ../oracle_messaging.sh && UPDATE_EXPECT=1 cargo test -p remora-dissect --test calls
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ]; then
    exec unshare -n "$0" inside
fi
ip link set lo up
work=$(mktemp -d)
export HOME="$work" ERL_EPMD_ADDRESS=127.0.0.1 RABBITMQ_NODENAME=recorder@localhost RABBITMQ_NODE_PORT=5699
export RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_MNESIA_BASE="$work/db" RABBITMQ_LOG_BASE="$work/log"
export RABBITMQ_ENABLED_PLUGINS_FILE="$work/plugins" RABBITMQ_PID_FILE="$work/pid" RABBITMQ_LOGS=-
echo '[].' >"$work/plugins"
/usr/lib/rabbitmq/bin/rabbitmq-server >"$work/server" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server; epmd -kill >/dev/null 2>&1; rm -rf "$work"' EXIT
tries=0
until grep -q "Server startup complete" "$work/server"; do
    tries=$((tries + 1))
    [ $tries -lt 3000 ] || { cat "$work/server"; exit 1; }
    sleep 0.1
done
for name in plain confirms errors pipelined large; do
    tcpdump -i lo -U -s0 -B 16384 --immediate-mode -w "$work/cap" "port 5699" 2>"$work/tcpdump" &
    pid=$!
    until grep -qs listening "$work/tcpdump"; do sleep 0.1; done
    "${PYTHON:-python3}" "$here/clients.py" $name >"$work/out" 2>&1 || cat "$work/out"
    sleep 0.5
    kill -INT $pid
    wait $pid || true
    cp "$work/cap" "$here/$name.pcap"
    chmod 644 "$here/$name.pcap"
done
