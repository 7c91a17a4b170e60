#!/bin/bash
# Records the captures in this directory from real servers and clients, inside a network namespace
# of its own. Needs root, tcpdump, nginx, curl, nghttp2 (client, server and proxy),
# and a python3 with grpcio, grpcio-tools and grpcio-reflection (PYTHON). The times change with each recording, so
# the expectations have to be written anew:
#   sudo PYTHON=venv/bin/python ./record.sh && ./oracle.py && UPDATE_EXPECT=1 cargo test -p remora-dissect --test calls
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ]; then
    exec unshare -n "$0" inside
fi
python=${PYTHON:-python3}
ip link set lo up
work=$(mktemp -d)
chmod 755 "$work"
servers=
trap 'kill $servers 2>/dev/null; rm -rf "$work"' EXIT

# record NAME PORT COMMAND...: what the command says on the port.
record() {
    local name=$1 port=$2
    shift 2
    tcpdump -i lo -U -s0 -B 8192 --immediate-mode -w "$work/cap" "port $port" 2>"$work/log" &
    local pid=$!
    until grep -q listening "$work/log"; do sleep 0.1; done
    "$@" >"$work/out" 2>&1 || true
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
    until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do sleep 0.1; done
}

mkdir "$work/www"
echo hello >"$work/www/a.txt"
seq 1 6000 >"$work/www/numbers.txt"
echo '<h1>hi</h1>' >"$work/www/index.html"
cat >"$work/nginx.conf" <<END
daemon off; pid $work/nginx.pid; error_log $work/nginx.err;
events {}
http {
    types { text/plain txt; text/html html; }
    gzip on; gzip_types text/plain; gzip_min_length 100; access_log off;
    client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work; scgi_temp_path $work;
    server { listen 127.0.0.1:8072 http2; root $work/www; location /busy { return 503 "later"; } }
}
END
cp "$here/shop.proto" "$here/shop.py" "$work"
(cd "$work" && "$python" -m grpc_tools.protoc -I. --python_out=. --grpc_python_out=. shop.proto)

start 50071 "$python" "$work/shop.py" serve 50071
record grpc 50071 "$python" "$work/shop.py" call 50071

# With every kind of field, with the descriptor set, and with what the client sent and got.
cp "$here/typed.proto" "$here/typed.py" "$work"
(cd "$work" && "$python" -m grpc_tools.protoc -I. --python_out=. --grpc_python_out=. \
    --include_imports --descriptor_set_out="$here/typed.set" typed.proto)
start 50072 "$python" "$work/typed.py" serve 50072
record typed 50072 "$python" "$work/typed.py" call 50072 "$here/typed.json"

start 8071 nghttpd --no-tls -a 127.0.0.1 -d "$work/www" -p/index.html=/a.txt --trailer "x-trailer: end" 8071
nghttp_calls() {
    u=http://127.0.0.1:8071
    nghttp -nv $u/index.html $u/none
    nghttp -nv --no-dep -b 10 $u/index.html
    nghttp -nv --no-push -d "$work/www/numbers.txt" -H':method: PUT' $u/up
}
record nghttp 8071 nghttp_calls
record h2load 8071 h2load -n 60 -c 2 -m 10 http://127.0.0.1:8071/a.txt http://127.0.0.1:8071/none

start 8073 nghttpx --single-process --no-ocsp -f'127.0.0.1,8073;no-tls' -b'127.0.0.1,8071;;proto=h2' /dev/null /dev/null
upgrade() {
    curl -s --http2 -A curl http://127.0.0.1:8073/a.txt http://127.0.0.1:8073/none
    nghttp -nuv http://127.0.0.1:8073/a.txt
}
record upgrade 8073 upgrade

start 8072 nginx -c "$work/nginx.conf"
nginx_calls() {
    u=http://127.0.0.1:8072
    nghttp -nv -H'accept-encoding: gzip' -H'x-a: 1' $u/a.txt $u/numbers.txt "$u/busy?x=1" $u/none
    curl -s --http2-prior-knowledge --compressed $u/numbers.txt
    # Headers over two frames, which this server refuses.
    curl -s --http2-prior-knowledge -H "x-long: $(head -c 30000 /dev/zero | tr '\0' y)" $u/a.txt
    curl -s --http2-prior-knowledge -I $u/numbers.txt
}
record nginx 8072 nginx_calls
