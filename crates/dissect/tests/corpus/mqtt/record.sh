#!/bin/sh
# Records the captures in this directory from mosquitto, its clients and paho-mqtt, inside a network
# namespace of its own. Needs root, tcpdump, mosquitto, mosquitto-clients and python3 with paho-mqtt
# (PYTHON names another one that has it). The times change with each recording, so the expectations
# have to be written anew:
#   sudo ./record.sh && ../oracle_messaging.sh && UPDATE_EXPECT=1 cargo test -p remora-dissect --test calls
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ]; then
    exec unshare -n "$0" inside
fi
ip link set lo up
work=$(mktemp -d)
mosquitto_passwd -b -c "$work/users" ada sesame
printf 'user ada\ntopic readwrite sensors/#\ntopic readwrite news\ntopic readwrite nobody/#\n' >"$work/access"
cat >"$work/config" <<END
listener 1899 127.0.0.1
allow_anonymous false
password_file $work/users
acl_file $work/access
user root
max_topic_alias 10
END
mosquitto -c "$work/config" >"$work/server" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server; rm -rf "$work"' EXIT
until grep -qs running "$work/server"; do sleep 0.1; kill -0 $server; done
tools() {
    mosquitto_sub -p 1899 -u ada -P sesame -V mqttv5 -i tool-sub -t 'sensors/+' -q 1 -C 2 -W 5 &
    sub=$!
    sleep 0.5
    mosquitto_pub -p 1899 -u ada -P sesame -V mqttv5 -i tool-pub -t sensors/1 -q 2 -m "from the tool" \
        -D publish user-property shop 7
    mosquitto_pub -p 1899 -u ada -P sesame -V 311 -t sensors/2 -q 0 -m "and once more"
    wait $sub || true
}
for name in v31 v311 v5 refused large tools; do
    tcpdump -i lo -U -s0 -B 16384 --immediate-mode -w "$work/cap" "port 1899" 2>"$work/tcpdump" &
    pid=$!
    until grep -qs listening "$work/tcpdump"; do sleep 0.1; done
    case $name in
    tools) tools ;;
    *) "${PYTHON:-python3}" "$here/clients.py" $name ;;
    esac >"$work/out" 2>&1 || cat "$work/out"
    sleep 0.5
    kill -INT $pid
    wait $pid || true
    cp "$work/cap" "$here/$name.pcap"
    chmod 644 "$here/$name.pcap"
done
