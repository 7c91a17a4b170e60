#!/bin/sh
# Records the captures of this directory from the DataStax driver and a stub server (stub.py), and
# what tshark finds in them. Needs tcpdump, tshark, and python with cassandra-driver, lz4 and
# python-snappy (as $PYTHON). Without arguments all are recorded.
set -eu
cd "$(dirname "$0")"
port=${PORT:-39042}
python=${PYTHON:-python3}
for name in ${*:-v3 v3-lz4 v4 v4-snappy v4-auth v5 v5-lz4}; do
    version=${name#v}
    how=${version#?}
    how=${how#-}
    version=${version%%-*}
    tcpdump -i lo -U -q -w "$name.pcap" "tcp port $port" >/dev/null 2>&1 &
    dump=$!
    sleep 1
    mkfifo "/tmp/stub.$$"
    "$python" stub.py "$port" $([ "$how" = auth ] && echo auth) <"/tmp/stub.$$" >/dev/null &
    exec 3>"/tmp/stub.$$"
    rm "/tmp/stub.$$"
    for try in 1 2 3 4 5 6 7 8 9 10; do
        "$python" -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null && break
        sleep 0.5
    done
    timeout 60 "$python" clients.py "$port" "$version" $how || true
    sleep 1
    exec 3>&-
    kill "$dump" || true
    wait "$dump" || true
done
for f in *.pcap; do
    tshark -r "$f" -d "tcp.port==$port,cql" -Y cql -T fields -E aggregator=\| -e tcp.srcport -e tcp.dstport -e cql.version \
        -e cql.stream -e cql.opcode -e cql.error_code -e cql.result.rows.row_count 2>/dev/null | cut -c1-1000 >"${f%.pcap}.tshark"
done
