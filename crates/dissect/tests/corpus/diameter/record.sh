#!/bin/bash
# Records the captures in this directory: two freeDiameter daemons, which greet and part, and two peers
# of python-diameter, which ask each other. Inside a network namespace of its own. Needs root, tcpdump,
# openssl, freediameterd and a python3 with python-diameter (PYTHON). The times change with each
# recording, so the expectations have to be written anew:
#   sudo PYTHON=venv/bin/python ./record.sh && ./oracle.sh && UPDATE_EXPECT=1 cargo test -p remora-dissect --test calls
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ]; then
    exec unshare -n "$0" inside
fi
python=${PYTHON:-python3}
ip link set lo up
# freeDiameter refuses addresses of loopback.
ip link add br0 type bridge
ip address add 192.0.2.1/24 dev br0
ip address add 192.0.2.2/24 dev br0
ip link set br0 up
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT

# record NAME INTERFACE COMMAND...: what the command says.
record() {
    local name=$1 interface=$2
    shift 2
    tcpdump -i "$interface" -U -s0 --immediate-mode -w "$work/cap" "tcp port 3868" 2>"$work/log" &
    local pid=$!
    until grep -q listening "$work/log"; do sleep 0.1; done
    "$@" >"$work/out.$name" 2>&1 || true
    sleep 0.5
    kill -INT $pid
    wait $pid || true
    cp "$work/cap" "$here/$name.pcap"
    chmod 644 "$here/$name.pcap"
    tail -n 5 "$work/out.$name"
}

cd "$work"
openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=authority -keyout ca.key -out ca.pem 2>/dev/null
for peer in one two; do
    openssl req -newkey rsa:2048 -nodes -subj /CN=$peer.shop.example -keyout $peer.key -out $peer.csr 2>/dev/null
    openssl x509 -req -in $peer.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -out $peer.pem 2>/dev/null
    [ $peer = one ] && own=1 other=2 name=two || { own=2 other=1 name=one; }
    cat >$peer.conf <<END
Identity = "$peer.shop.example";
Realm = "shop.example";
Port = 3868;
SecPort = 0;
No_SCTP;
ListenOn = "192.0.2.$own";
TLS_Cred = "$work/$peer.pem", "$work/$peer.key";
TLS_CA = "$work/ca.pem";
TwTimer = 6;
ConnectPeer = "$name.shop.example" { ConnectTo = "192.0.2.$other"; No_TLS; Port = 3868; };
END
done
daemons() {
    freeDiameterd -c two.conf >two.out 2>&1 &
    local two=$!
    sleep 2
    freeDiameterd -c one.conf >one.out 2>&1 &
    local one=$!
    # A watchdog comes after six seconds.
    sleep 12
    kill -INT $one
    wait $one || true
    kill -INT $two
    wait $two || true
}
record daemons lo daemons
record applications lo "$python" "$here/peers.py" 3868
