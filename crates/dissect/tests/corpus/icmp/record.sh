#!/bin/sh
# Records ping.pcap, errors.pcap and neighbours.pcap between namespaces: client - router - server. Needs
# root, iproute2, iputils-ping, tcpdump and python3.
set -eu
cd "$(dirname "$0")"
n=icmp$$
c=${n}c r=${n}r s=${n}s
trap 'for x in $c $r $s; do ip netns delete $x; done' EXIT
for x in $c $r $s; do
    ip netns add $x
    ip -n $x link set lo up
    ip netns exec $x sysctl -qw net.ipv6.conf.default.accept_dad=0
done
ip link add to_r netns $c type veth peer name to_c netns $r
ip link add to_s netns $r type veth peer name to_r netns $s
address() { ip -n "$1" address add "$3" dev "$2"; }
address $c to_r 192.0.2.1/25
address $r to_c 192.0.2.2/25
address $r to_s 192.0.2.129/25
address $s to_r 192.0.2.130/25
address $c to_r 2001:db8:1::1/64
address $r to_c 2001:db8:1::2/64
address $r to_s 2001:db8:2::1/64
address $s to_r 2001:db8:2::2/64
dump() {
    ip netns exec $c tcpdump -i to_r -U -w "$1" "$2" 2>"$n.log" &
    dump=$!
    for _ in $(seq 50); do
        grep -q 'listening on' "$n.log" && return
        sleep 0.1
    done
    cat "$n.log"
    exit 1
}
done_dumping() {
    sleep 1
    kill -INT $dump
    wait $dump
    rm -f "$n.log"
}
ip -n $c link set to_r up
dump neighbours.pcap ip6
ip -n $r link set to_c up
ip -n $r link set to_s up
ip -n $s link set to_r up
ip -n $c route add default via 192.0.2.2
ip -n $c route add default via 2001:db8:1::2
ip -n $s route add default via 192.0.2.129
ip -n $s route add default via 2001:db8:2::1
ip netns exec $r sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.icmp_ratelimit=0 \
    net.ipv6.icmp.ratelimit=0
ip netns exec $s sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
ip netns exec $c ping -q -c 1 -W 5 2001:db8:1::2 >/dev/null
ip netns exec $c python3 -c '
import socket, struct
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
index = socket.if_nametoindex("to_r")
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, "ff02::4242") + struct.pack("i", index))
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, socket.inet_pton(socket.AF_INET6, "ff02::4242") + struct.pack("i", index))
'
done_dumping

in_c() { ip netns exec $c "$@" || true; }
dump ping.pcap 'ip or ip6'
in_c ping -q -c 3 -i 0.2 192.0.2.130
in_c ping -q -c 3 -i 0.2 2001:db8:2::2
# In fragments.
in_c ping -q -c 1 -s 3000 192.0.2.130
in_c ping -q -c 1 -s 3000 2001:db8:2::2
# To nobody, and to a group.
in_c ping -q -c 1 -W 1 -b 192.0.2.127
in_c ping -q -c 1 -W 1 ff02::1%to_r
done_dumping

dump errors.pcap 'ip or ip6'
# Time exceeded, at the router.
in_c ping -q -c 1 -W 1 -t 1 192.0.2.130
in_c ping -q -c 1 -W 1 -t 1 2001:db8:2::2
# Closed ports, hosts and networks that are not there.
in_c python3 -c '
import socket
for kind, to in [(socket.AF_INET, ("192.0.2.130", 33434)), (socket.AF_INET6, ("2001:db8:2::2", 33434))]:
    s = socket.socket(kind, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect(to)
    s.send(b"is anybody there?")
    try:
        s.recv(1)
    except ConnectionRefusedError:
        pass
'
in_c ping -q -c 1 -W 5 192.0.2.140
in_c ping -q -c 1 -W 5 2001:db8:2::99
in_c ping -q -c 1 -W 1 203.0.113.1
in_c ping -q -c 1 -W 1 2001:db8:3::1
# A link that is too narrow.
ip -n $r link set to_s mtu 1300
in_c ping -q -c 1 -W 1 -M do -s 1400 192.0.2.130
in_c ping -q -c 1 -W 1 -M do -s 1400 2001:db8:2::2
# A firewall that refuses.
ip -n $r route add prohibit 198.51.100.0/24
ip -n $r route add prohibit 2001:db8:4::/64
in_c ping -q -c 1 -W 1 198.51.100.1
in_c ping -q -c 1 -W 1 2001:db8:4::1
done_dumping
