#!/bin/sh
# Records the captures in dns/, kafka/ and redis/ from real servers and clients, inside a network
# namespace of its own. Needs root, tcpdump, dnsmasq, dig, redis-server, redis-cli, kcat and python3
# with confluent-kafka and aiokafka (PYTHON names another one that has them). The times and ids in
# the captures change with each recording, so the expectations have to be written anew:
#   sudo ./record.sh && UPDATE_EXPECT=1 cargo test -p remora-dissect --test calls
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ]; then
    exec unshare -n "$0" inside
fi
ip link set lo up
work=$(mktemp -d)
trap 'kill $(cat "$work"/*.pid) 2>/dev/null; rm -rf "$work"' EXIT

# record NAME PORT COMMAND...: what the command says on the port.
record() {
    name=$1 port=$2
    shift 2
    tcpdump -i lo -U -s0 --immediate-mode -w "$work/cap" "port $port" 2>"$work/log" &
    pid=$!
    until grep -q listening "$work/log"; do sleep 0.1; done
    "$@" >"$work/out" 2>&1 || true
    sleep 0.3
    kill -INT $pid
    wait $pid || true
    cp "$work/cap" "$here/$name.pcap"
    [ -z "${KEEP_OUTPUT:-}" ] || cp "$work/out" "$KEEP_OUTPUT/$(basename "$name").out"
}

# --- DNS ---------------------------------------------------------------------------------------
dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --port=5300 --listen-address=127.0.0.1 \
    --bind-interfaces --pid-file="$work/dns.pid" --local-ttl=60 --user=root \
    --host-record=www.example.test,192.0.2.1,2001:db8::1 --host-record=multi.example.test,192.0.2.2 \
    --cname=alias.example.test,www.example.test --mx-host=example.test,mail.example.test,10 \
    --srv-host=_sip._tcp.example.test,sip.example.test,5060,1,2 \
    --txt-record=example.test,"v=spf1 -all","quo\"te;" --ptr-record=1.2.0.192.in-addr.arpa,www.example.test \
    --naptr-record=example.test,100,10,u,E2U+sip,'!^.*$!sip:info@example.test!',. \
    --caa-record=example.test,0,issue,ca.test \
    --dns-rr=_443._tcp.example.test,52,030101e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 \
    --dns-rr=svc.example.test,65,0001000001000602683202683300040004c0000201 \
    --dns-rr=example.test,43,303908022bb183af5f22588179a53b0a98631fad1a292118 \
    --dns-rr=example.test,48,0101030d9999aa \
    --dns-rr=example.test,46,000f0d0200000e1069200000691f0000303900666f6f \
    --dns-rr=host.example.test,13,03783836054c696e7578 --dns-rr=odd.example.test,65280,01ff \
    --dns-rr=ssh.example.test,44,040213a1 \
    --address=/nx.example.test/ --log-facility="$work/dnslog"
d="dig @127.0.0.1 -p 5300 +tries=1 +time=2"
types() {
    for q in "A www.example.test" "AAAA www.example.test" "A alias.example.test" "MX example.test" \
        "SRV _sip._tcp.example.test" "TXT example.test" "PTR 1.2.0.192.in-addr.arpa" "NAPTR example.test" \
        "CAA example.test" "TLSA _443._tcp.example.test" "HTTPS svc.example.test" "DS example.test" \
        "DNSKEY example.test" "RRSIG example.test" "HINFO host.example.test" "TYPE65280 odd.example.test" \
        "SSHFP ssh.example.test" "ANY example.test" "A missing.invalid" "A nx.example.test"; do
        # shellcheck disable=SC2086
        $d +nosplit $q
    done
    $d CH TXT version.bind
}
record dns/types 5300 types
options() {
    $d +tcp A www.example.test
    $d +tcp +keepopen MX example.test TXT example.test
    $d +dnssec A www.example.test
    $d +noedns A www.example.test
    $d +bufsize=512 +subnet=198.51.100.0/24 A www.example.test
    $d +norecurse +cdflag +adflag A 'wWw.exAmple.test'
    $d A 'a\.b\032c.example.test'
}
record dns/options 5300 options
record dns/refused 5301 dig @127.0.0.1 -p 5301 +tries=2 +time=1 A www.example.test
dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --port=5302 --pid-file="$work/auth.pid" --user=root \
    --listen-address=127.0.0.1 --bind-interfaces --log-facility="$work/authlog" \
    --auth-server=ns.zone.test,lo --auth-zone=zone.test,127.0.0.0/8 --auth-peer=127.0.0.1 --auth-soa=7 \
    --host-record=a.zone.test,127.0.0.2 --host-record=b.zone.test,127.0.0.3 --mx-host=zone.test,a.zone.test,5
transfer() {
    dig @127.0.0.1 -p 5302 AXFR zone.test +time=2 +tries=1
}
record dns/transfer 5302 transfer

# --- Redis -------------------------------------------------------------------------------------
redis-server --port 6390 --save '' --daemonize yes --pidfile "$work/redis.pid" --dir "$work" \
    --logfile "$work/redislog" --repl-diskless-sync-delay 0 --enable-debug-command yes >/dev/null
until redis-cli -p 6390 PING 2>/dev/null | grep -q PONG; do sleep 0.1; done
r="redis-cli -p 6390"
plain() {
    $r <<-'END'
	SET greeting "hello world"
	GET greeting
	GET nothing
	INCR counter
	LPUSH list a b "c d"
	LRANGE list 0 -1
	LPUSH greeting x
	HSET user:1 name Ada born 1815
	HGETALL user:1
	EVAL "return {1,'two',redis.error_reply('MY three')}" 1 greeting
	XADD stream 1-1 f v
	XREAD COUNT 1 STREAMS stream 0
	ZADD board 1.5 joe
	ZRANGE board 0 -1 WITHSCORES
	CONFIG GET maxmemory
	CONFIG SET requirepass sesame
	AUTH sesame
	CONFIG GET requirepass
	CONFIG SET requirepass ""
	NOSUCH thing
	MULTI
	SET in tx
	LPUSH in x
	EXEC
	DISCARD
	END
}
record redis/resp2 6390 plain
resp3() {
    $r -3 HGETALL user:1
    python3 - <<-'END'
	import socket, time
	s = socket.create_connection(("127.0.0.1", 6390))
	for line in ["HELLO 3", "SMEMBERS nothing", "ZSCORE board joe", "GET nothing",
	             "EVAL \"redis.setresp(3); return {true, false, {double=1.5}}\" 0", "CLIENT TRACKING ON",
	             "GET greeting", "SET greeting changed", "DEBUG PROTOCOL bignum", "DEBUG PROTOCOL verbatim",
	             "DEBUG PROTOCOL attrib", "DEBUG PROTOCOL set", "DEBUG PROTOCOL true"]:
	    s.sendall(line.encode() + b"\r\n")
	    time.sleep(0.03)
	    s.recv(65536)
	END
}
record redis/resp3 6390 resp3
pubsub() {
    python3 - <<-'END'
	import socket, time
	def talk(s, text):
	    s.sendall(text)
	    time.sleep(0.05)
	    s.recv(65536)
	sub = socket.create_connection(("127.0.0.1", 6390))
	talk(sub, b"*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$1\r\nb\r\n")
	talk(sub, b"PSUBSCRIBE c*\r\n")
	three = socket.create_connection(("127.0.0.1", 6390))
	talk(three, b"HELLO 3\r\n")
	talk(three, b"SUBSCRIBE a\r\n")
	mon = socket.create_connection(("127.0.0.1", 6390))
	talk(mon, b"MONITOR\r\n")
	pub = socket.create_connection(("127.0.0.1", 6390))
	talk(pub, b"PUBLISH a one\r\n")
	talk(pub, b"PUBLISH cc two\r\n")
	talk(pub, b"CLIENT REPLY SKIP\r\nSET quiet 1\r\nGET quiet\r\n")
	talk(sub, b"UNSUBSCRIBE\r\n")
	talk(sub, b"PUNSUBSCRIBE\r\n")
	talk(three, b"GET quiet\r\n")
	for s in (sub, three, mon, pub): s.close()
	END
}
record redis/pubsub 6390 pubsub
pipe() {
    i=0
    while [ $i -lt 300 ]; do
        echo "SET key:$i value-$i"
        i=$((i + 1))
    done | $r --pipe
}
record redis/pipe 6390 pipe
large() {
    head -c 66000 /dev/zero | tr '\0' x | $r -x SET large
    $r GET large
    $r STRLEN large
}
record redis/large 6390 large
replica() {
    redis-server --port 6391 --save '' --dir "$work" --logfile "$work/replica" --pidfile "$work/replica.pid" \
        --daemonize yes --replicaof 127.0.0.1 6390
    until redis-cli -p 6391 INFO replication | grep -q master_link_status:up; do sleep 0.1; done
    $r SET after sync
    sleep 1
}
record redis/replica 6390 replica

# A cluster of two, and what newer versions have.
for port in 6395 6396; do
    redis-server --port $port --save '' --dir "$work" --logfile "$work/cluster$port" --daemonize yes \
        --cluster-enabled yes --cluster-config-file "$work/nodes$port.conf" --pidfile "$work/cluster$port.pid"
    until redis-cli -p $port PING 2>/dev/null | grep -q PONG; do sleep 0.1; done
done
python3 "$here/redis/newer.py" setup 6395 6396
record redis/newer 6395 python3 "$here/redis/newer.py" call 6395
kill "$(cat "$work/cluster6395.pid")" "$(cat "$work/cluster6396.pid")" 2>/dev/null || true

# --- Kafka -------------------------------------------------------------------------------------
# The mock broker of librdkafka chooses its port, and nothing else speaks TCP here by now. Some
# batches are large for one write of a slow tcpdump, hence the buffer.
kill "$(cat "$work/redis.pid")" "$(cat "$work/replica.pid")" 2>/dev/null || true
for name in codecs transactions aio large errors kcat; do
    tcpdump -i lo -s0 -B 65536 -w "$work/cap" tcp 2>"$work/log" &
    pid=$!
    until grep -q listening "$work/log"; do sleep 0.1; done
    case $name in
    kcat) "$here/kafka/kcat.sh" ;;
    *) "${PYTHON:-python3}" "$here/kafka/clients.py" $name ;;
    esac >"$work/out" 2>&1 || true
    sleep 1.5
    kill -INT $pid
    wait $pid || true
    cp "$work/cap" "$here/kafka/$name.pcap"
done
chmod 644 "$here"/dns/*.pcap "$here"/kafka/*.pcap "$here"/redis/*.pcap
[ -z "${SUDO_UID:-}" ] || chown "$SUDO_UID" "$here"/dns/*.pcap "$here"/kafka/*.pcap "$here"/redis/*.pcap
