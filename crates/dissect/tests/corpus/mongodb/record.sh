#!/bin/sh
# Records the captures of this directory from PyMongo and a stub server (stub.py), and what tshark
# finds in them. Needs tcpdump, tshark, and python with pymongo, the extras snappy and zstd (as
# $PYTHON). Without arguments all are recorded.
set -eu
cd "$(dirname "$0")"
port=${PORT:-37917}
python=${PYTHON:-python3}
for name in ${*:-crud types snappy zlib zstd exhaust auth old}; do
    tcpdump -i lo -U -q -w "$name.pcap" "tcp port $port" 2>/dev/null &
    dump=$!
    sleep 1
    mkfifo "/tmp/stub.$$"
    "$python" stub.py "$port" <"/tmp/stub.$$" &
    exec 3>"/tmp/stub.$$"
    rm "/tmp/stub.$$"
    for try in 1 2 3 4 5 6 7 8 9 10; do
        "$python" -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null && break
        sleep 0.5
    done
    "$python" clients.py "$port" "$name"
    sleep 1
    exec 3>&-
    kill "$dump"
    wait "$dump" || true
done
for f in *.pcap; do
    tshark -r "$f" -d "tcp.port==$port,mongo" -Y mongo -T fields -E aggregator=\| -e tcp.srcport -e tcp.dstport \
        -e mongo.opcode -e mongo.request_id -e mongo.response_to -e mongo.full_collection_name \
        -e mongo.compression.compressor 2>/dev/null | cut -c1-2000 >"${f%.pcap}.tshark"
done
