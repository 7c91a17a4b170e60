#!/bin/sh
# Records the captures in this directory, and their key logs, from real servers and clients, inside a
# network namespace of its own. Needs root, tcpdump, editcap, openssl, nginx, curl, postgres and
# python3 with aioquic (PYTHON names another one that has it). Everything that is random changes with
# each recording, so the expectations have to be written anew:
#   sudo ./record.sh && ./oracle.sh && UPDATE_EXPECT=1 cargo test -p remora-dissect --test calls
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ]; then
    exec unshare -n "$0" inside
fi
ip link set lo up
# Small enough for handshakes to take several segments.
ip link set lo mtu 1500
work=$(mktemp -d)
trap 'kill $(cat "$work"/*.pid) 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"
python=${PYTHON:-python3}

# record NAME FILTER COMMAND...: what the command says, and the secrets that it writes to $keys.
record() {
    name=$1 filter=$2
    shift 2
    keys="$work/$name.keys"
    export SSLKEYLOGFILE="$keys"
    : >"$keys"
    tcpdump -i lo -U -s0 --immediate-mode -w "$work/cap" "$filter" 2>"$work/log" &
    pid=$!
    until grep -q listening "$work/log"; do sleep 0.1; done
    "$@" >"$work/out" 2>&1 || true
    sleep 0.5
    kill -INT $pid
    wait $pid || true
    cp "$work/cap" "$here/$name.pcap"
    # Of the key log what belongs to these connections and is of use.
    grep -v EXPORTER "$keys" >"$here/$name.keys" || rm -f "$here/$name.keys"
    [ -z "${KEEP_OUTPUT:-}" ] || cp "$work/out" "$KEEP_OUTPUT/$name.out"
}

openssl req -x509 -newkey rsa:2048 -nodes -keyout rsa.key -out rsa.pem -days 3650 -subj "/C=XX/O=Example, Inc./CN=shop.example" \
    -addext "subjectAltName=DNS:shop.example,DNS:*.shop.example,IP:127.0.0.1,email:ops@shop.example" 2>/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ec.key -out ec.pem -days 3650 \
    -subj "/CN=shop.example" -addext "subjectAltName=DNS:shop.example" 2>/dev/null
openssl req -x509 -newkey ed25519 -nodes -keyout client.key -out client.pem -days 3650 -subj "/OU=Billing/CN=billing" 2>/dev/null
printf 'Hello from inside.\n' >hello.txt

# server PORT ARGUMENT...: openssl as a server that sends files.
server() {
    port=$1
    shift
    (cd "$work" && exec openssl s_server -accept "127.0.0.1:$port" -WWW -quiet "$@") >"$work/server.$port" 2>&1 &
    echo $! >"$work/$port.pid"
    until grep -qi ":$(printf %04X "$port") .* 0A " /proc/net/tcp; do sleep 0.1; done
}

# ask PORT ARGUMENT...: asks it for a file.
ask() {
    port=$1
    shift
    printf 'GET /hello.txt HTTP/1.0\r\n\r\n' |
        timeout 5 openssl s_client -connect "127.0.0.1:$port" -servername shop.example -quiet -keylogfile "$keys" "$@" || true
}

all='ALL:@SECLEVEL=0'

# --- every kind of suite ---------------------------------------------------------------------------
tls13=TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256
server 4433 -cert rsa.pem -key rsa.key -dcert ec.pem -dkey ec.key -cipher "$all" -ciphersuites $tls13
suites13() {
    for suite in $(echo $tls13 | tr : ' '); do ask 4433 -tls1_3 -ciphersuites "$suite" -alpn http/1.1; done
}
suites12() {
    for suite in ECDHE-RSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-RSA-CHACHA20-POLY1305 AES128-CCM \
        ECDHE-ECDSA-AES256-CCM8 AES128-SHA ECDHE-RSA-AES256-SHA ECDHE-RSA-AES128-SHA256 ECDHE-RSA-AES256-SHA384 AES256-SHA256; do
        ask 4433 -tls1_2 -cipher "$suite:@SECLEVEL=0"
    done
    for suite in AES128-SHA ECDHE-RSA-AES256-SHA384; do ask 4433 -tls1_2 -cipher "$suite:@SECLEVEL=0" -no_etm; done
}
old() {
    ask 4433 -tls1 -cipher "AES128-SHA:@SECLEVEL=0"
    ask 4433 -tls1_1 -cipher "ECDHE-RSA-AES256-SHA:@SECLEVEL=0"
    # Suites that are not read.
    ask 4433 -tls1_2 -cipher "ADH-AES128-SHA:@SECLEVEL=0"
    ask 4433 -tls1_2 -cipher "CAMELLIA128-SHA:@SECLEVEL=0"
    ask 4433 -tls1_2 -cipher "NULL-SHA256:@SECLEVEL=0"
}
record tls13 'port 4433' suites13
record tls12 'port 4433' suites12
record old 'port 4433' old

# --- handshakes that go on, or do not --------------------------------------------------------------
# A web server that takes early data, and knows one group that clients do not try first.
cat >nginx.conf <<N
daemon off; pid $work/nginx.id; error_log $work/errors; events {}
http { access_log off; client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work; scgi_temp_path $work;
    ssl_certificate $work/rsa.pem; ssl_certificate_key $work/rsa.key; ssl_protocols TLSv1.2 TLSv1.3;
    server { listen 127.0.0.1:4443 ssl http2; server_name shop.example;
        location = /hello { return 200 "Hello from nginx.\n"; }
        location = /echo { return 201 "\$request_method\n"; } }
    server { listen 127.0.0.1:4434 ssl; ssl_early_data on; ssl_ecdh_curve secp384r1; ssl_session_cache shared:S:1m;
        location = /hello.txt { return 200 "Hello from nginx, early: \$ssl_early_data.\n"; } } }
N
nginx -e "$work/errors" -c "$work/nginx.conf" &
echo $! >nginx.pid
until grep -qi ":115B .* 0A " /proc/net/tcp; do sleep 0.1; done
resume() {
    ask 4434 -tls1_3 -sess_out s13
    printf 'GET /hello.txt HTTP/1.0\r\nHost: early\r\n\r\n' >early.txt
    # The request comes early. The second time the server asks for another group, which refuses it.
    for groups in P-384 X25519:P-384; do
        timeout 5 openssl s_client -connect 127.0.0.1:4434 -servername shop.example -tls1_3 -groups $groups -quiet \
            -keylogfile "$keys" -sess_in s13 -early_data early.txt <early.txt || true
    done
    ask 4434 -tls1_2 -sess_out s12
    ask 4434 -tls1_2 -sess_in s12
    ask 4434 -tls1_2 -no_ticket -sess_out s12id
    ask 4434 -tls1_2 -no_ticket -sess_in s12id
}
record resumption 'port 4434' resume
server 4435 -cert rsa.pem -key rsa.key -tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256
server 4436 -cert rsa.pem -key rsa.key -Verify 1 -CAfile client.pem -verify_return_error
failures() {
    ask 4435 -tls1_2
    ask 4435 -tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384
    curl -sk --tls-max 1.2 https://127.0.0.1:4436/hello.txt
    curl -s --tls-max 1.2 https://127.0.0.1:4434/hello.txt
    curl -s https://127.0.0.1:4434/hello.txt --curves P-384
    ask 4436 -tls1_3
    ask 4436 -tls1_2 -cert client.pem -key client.key
    ask 4436 -tls1_3 -cert client.pem -key client.key
    # The other side hangs up, or does not speak TLS.
    ask 4437
}
record failures 'portrange 4434-4437' failures

# New keys in the middle, and a hello that SSL 2.0 understands.
update() {
    # The letter stands for the command only where it is read by itself.
    (sleep 1; printf 'GET /hello HTTP/1.0\n'; sleep 1; printf 'K\n'; sleep 1; printf '\n'; sleep 1) |
        timeout 5 openssl s_client -connect 127.0.0.1:4443 -tls1_3 -keylogfile "$keys" -crlf
}
record keyupdate 'port 4443' update
v2() {
    "$python" - <<'P'
import socket
s = socket.create_connection(("127.0.0.1", 4433))
suites = bytes.fromhex("00002f 000035 00000a 0700c0 010080")
body = bytes([1, 3, 1]) + len(suites).to_bytes(2, "big") + b"\0\0\0\x20" + suites + bytes(range(32))
s.sendall((0x8000 | len(body)).to_bytes(2, "big") + body)
s.recv(4096)
P
}
record sslv2 'port 4433' v2

# --- HTTP ------------------------------------------------------------------------------------------
http() {
    at='--resolve shop.example:4443:127.0.0.1 https://shop.example:4443'
    curl -sk $at/hello
    curl -sk --http1.1 $at/hello $at/missing
    curl -sk --tls-max 1.2 $at/hello -X POST --data hello $at/echo
}
record http 'port 4443' http
editcap --inject-secrets "tls,$here/http.keys" "$here/http.pcap" "$here/secrets_block.pcapng"

# --- PostgreSQL ------------------------------------------------------------------------------------
initdb=$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -1)
id=${PGUSER_SYSTEM:-nobody}
mkdir pg && chown "$id" pg && chmod 755 "$work"
su -s /bin/sh "$id" -c "$initdb -D $work/pg/data -U app -A trust >/dev/null"
cp rsa.key rsa.pem pg/data/ && chown "$id" pg/data/rsa.* && chmod 600 pg/data/rsa.key
su -s /bin/sh "$id" -c "exec $(dirname "$initdb")/postgres -D $work/pg/data -p 5439 -k $work/pg -c listen_addresses=127.0.0.1 -c ssl=on \
    -c ssl_cert_file=rsa.pem -c ssl_key_file=rsa.key" >pg.log 2>&1 &
until grep -q 'ready to accept' pg.log; do sleep 0.2; done
head -1 pg/data/postmaster.pid >pg.pid
record postgresql 'port 5439' "$python" "$here/postgresql.py"

# --- QUIC ------------------------------------------------------------------------------------------
record quic 'udp port 4445' "$python" "$here/quic.py"
