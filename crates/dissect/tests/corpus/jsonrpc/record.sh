#!/bin/bash
# Records the captures in this directory from real servers and clients, inside a network namespace
# of its own. Needs root, tcpdump, and a python3 (PYTHON) with mcp (1.x), httpx, starlette and uvicorn.
# The times change with each recording, so the expectations have to be written anew:
#   sudo PYTHON=venv/bin/python ./record.sh && UPDATE_EXPECT=1 cargo test -p remora-dissect --test calls
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

# record NAME PORT COMMAND...: what the command says on the port.
record() {
    local name=$1 port=$2
    shift 2
    tcpdump -i lo -U -s0 -B 8192 --immediate-mode -w "$work/cap" "port $port" 2>"$work/log" &
    local pid=$!
    until grep -q listening "$work/log" 2>/dev/null; do sleep 0.1; done
    "$@" >"$work/out" 2>&1 || cat "$work/out"
    sleep 0.5
    kill -INT $pid
    wait $pid || true
    cp "$work/cap" "$here/$name.pcap"
    chmod 644 "$here/$name.pcap"
}

# start PORT COMMAND...: a server, until it listens.
start() {
    local port=$1
    shift
    "$@" >"$work/server.$port" 2>&1 &
    servers="$servers $!"
    for _ in $(seq 600); do
        if (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
        sleep 0.1
    done
    cat "$work/server.$port"
    exit 1
}

start 8094 "$python" "$here/serve.py" mcp 8094
start 8095 "$python" "$here/serve.py" plain 8095
for kind in mcp plain; do
    port=8094
    [ $kind = mcp ] || port=8095
    record $kind $port "$python" "$here/ask.py" $kind $port
done
