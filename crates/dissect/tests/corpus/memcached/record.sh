#!/bin/sh
# Records the captures of this directory from a real memcached, and what tshark finds in them. Needs
# memcached, libmemcached-tools, tcpdump, tshark, and python with pymemcache and
# python-binary-memcached (as $PYTHON). Without arguments all are recorded.
set -eu
cd "$(dirname "$0")"
port=${PORT:-31811}
python=${PYTHON:-python3}
users=$(mktemp)
echo "alice:hunter2-txt" >"$users"
chmod 644 "$users"
for name in ${*:-text errors meta binary auth tools}; do
    options=
    [ "$name" != auth ] || options="-Y $users"
    memcached -u nobody -l 127.0.0.1 -p "$port" -U 0 $options >/dev/null 2>&1 &
    server=$!
    for try in 1 2 3 4 5 6 7 8 9 10; do
        "$python" -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null && break
        sleep 0.5
    done
    tcpdump -i lo -U -q -w "$name.pcap" "tcp port $port" >/dev/null 2>&1 &
    dump=$!
    sleep 1
    if [ "$name" = tools ]; then
        echo "from a file" >/tmp/memcp.$$
        memccp --servers="127.0.0.1:$port" "/tmp/memcp.$$"
        memccat --servers="127.0.0.1:$port" "memcp.$$" none || true
        memccp --binary --servers="127.0.0.1:$port" "/tmp/memcp.$$"
        memccat --binary --servers="127.0.0.1:$port" "memcp.$$" || true
        memcrm --servers="127.0.0.1:$port" "memcp.$$" none || true
        memcflush --servers="127.0.0.1:$port"
        rm "/tmp/memcp.$$"
    else
        timeout 20 "$python" clients.py "$port" "$name" || true
    fi
    sleep 1
    kill "$dump" "$server" || true
    wait "$dump" "$server" || true
done
rm "$users"
for f in *.pcap; do
    tshark -r "$f" -d "tcp.port==$port,memcache" -Y memcache -T fields -E aggregator=\| -e tcp.srcport -e tcp.dstport \
        -e memcache.command -e memcache.key -e memcache.response -e memcache.opcode -e memcache.status \
        2>/dev/null | cut -c1-1000 >"${f%.pcap}.tshark"
done
