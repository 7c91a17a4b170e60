#!/bin/sh
# Records vxlan.pcap: HTTP and ping through VXLAN between two namespaces, seen outside the tunnel.
set -eu
cd "$(dirname "$0")"
n=tunnel$$
c=${n}c s=${n}s
trap 'kill $server 2>/dev/null || true; for x in $c $s; do ip netns delete $x; done' EXIT
for x in $c $s; do ip netns add $x; done
ip link add outer netns $c type veth peer name outer netns $s
i=1
for x in $c $s; do
    ip -n $x address add 192.0.2.$i/24 dev outer
    ip -n $x link set outer up
    ip -n $x link add inner type vxlan id 77 remote 192.0.2.$((3 - i)) dstport 4789 dev outer
    ip -n $x address add 10.77.0.$i/24 dev inner
    ip -n $x link set inner up
    i=$((i + 1))
done
ip netns exec $s python3 -m http.server --bind 10.77.0.2 8077 >/dev/null 2>&1 &
server=$!
ip netns exec $c tcpdump -i outer -U -w vxlan.pcap 'udp port 4789' 2>"$n.log" &
dump=$!
for _ in $(seq 50); do
    grep -q 'listening on' "$n.log" && ip -n $s link show inner >/dev/null && break
    sleep 0.1
done
for _ in $(seq 50); do
    ip netns exec $c curl -s -o /dev/null "http://10.77.0.2:8077/nothing?there=1" && break
    sleep 0.2
done
ip netns exec $c ping -q -c 2 -i 0.2 10.77.0.2
sleep 1
kill -INT $dump
wait $dump
rm -f "$n.log"
