#!/usr/bin/env python3
"""Makes made.pcap: the messages that no program here sends, with scapy 2.8."""
from scapy.all import Ether, ICMP, IP, IPv6, Raw, TCP, UDP, wrpcap
from scapy.layers.inet6 import (
    ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6MLReport2, ICMPv6MLDMultAddrRec, ICMPv6ND_RA, ICMPv6ND_Redirect,
    ICMPv6NDOptRedirectedHdr, ICMPv6NIQueryIPv6, ICMPv6NIReplyIPv6, ICMPv6ParamProblem, IPv6ExtHdrHopByHop,
    RouterAlert, ICMPv6HAADRequest, ICMPv6HAADReply,
)

a, b, r = "192.0.2.1", "192.0.2.130", "192.0.2.2"
a6, b6, r6 = "2001:db8::1", "2001:db8::2", "fe80::2"
there, back = IP(src=a, dst=b), IP(src=b, dst=a)
there6, back6 = IPv6(src=a6, dst=b6), IPv6(src=b6, dst=a6)
lost = IP(src=a, dst=b) / UDP(sport=40000, dport=53) / b"lost"
packets = [
    there / ICMP(type=13, id=7, seq=1, ts_ori=1000), back / ICMP(type=14, id=7, seq=1, ts_ori=1000, ts_rx=1001, ts_tx=1002),
    there / ICMP(type=17, id=8, seq=1), back / ICMP(type=18, id=8, seq=1, addr_mask="255.255.255.0"),
    # Replies out of order, twice, and to nothing.
    there / ICMP(id=9, seq=1) / b"x", there / ICMP(id=9, seq=2) / b"x",
    back / ICMP(type=0, id=9, seq=2) / b"x", back / ICMP(type=0, id=9, seq=1) / b"x", back / ICMP(type=0, id=9, seq=1) / b"x",
    back / ICMP(type=0, id=77, seq=5) / b"x",
    # The other end asks as well, with the same numbers.
    there / ICMP(id=10, seq=1), back / ICMP(id=10, seq=1), there / ICMP(type=0, id=10, seq=1), back / ICMP(type=0, id=10, seq=1),
    # Seen twice.
    there / ICMP(id=11, seq=1), there / ICMP(id=11, seq=1), back / ICMP(type=0, id=11, seq=1), back / ICMP(type=0, id=11, seq=1),
    IP(src=r, dst=a) / ICMP(type=5, code=1, gw="192.0.2.3") / lost,
    IP(src=r, dst=a) / ICMP(type=12, code=0, ptr=20) / lost,
    IP(src=r, dst=a) / ICMP(type=4) / lost,
    IP(src=r, dst=a) / ICMP(type=3, code=13) / (IP(src=a, dst=b) / TCP(sport=40001, dport=443, flags="S", seq=9)),
    IP(src=r, dst=a) / ICMP(type=3, code=2) / (IP(src=a, dst=b, proto=132) / bytes.fromhex("0f1c0f1c00000001")),
    IP(src=r, dst=a) / ICMP(type=11, code=1) / IP(src=a, dst=b, frag=3, proto=17) / b"12345678",
    there / Raw(bytes([42, 0, 0, 0, 0, 5, 1, 1])), back / Raw(bytes([43, 2, 0, 0, 0, 5, 1, 0])),
    there / Raw(bytes([253, 9, 0, 0, 1, 2, 3, 4])),
    IPv6(src=r6, dst="ff02::1") / ICMPv6ND_RA(),
    IPv6(src=r6, dst=a6) / ICMPv6ND_Redirect(tgt="fe80::3", dst=b6) / ICMPv6NDOptRedirectedHdr(pkt=IPv6(src=a6, dst=b6) / UDP(sport=40002, dport=53) / b"lost"),
    back6 / ICMPv6ParamProblem(code=1, ptr=40) / IPv6(src=a6, dst=b6, nh=200) / b"what",
    IPv6(src=r6, dst=a6) / ICMPv6DestUnreach(code=1) / IPv6(src=a6, dst=b6) / TCP(sport=40003, dport=22, flags="S"),
    IPv6(src=r6, dst=a6) / ICMPv6DestUnreach(code=3) / IPv6(src=a6, dst=b6) / ICMPv6EchoRequest(id=12, seq=3),
    IPv6(src="fe80::1", dst="ff02::16", hlim=1) / IPv6ExtHdrHopByHop(options=RouterAlert()) / ICMPv6MLReport2(
        records=[ICMPv6MLDMultAddrRec(rtype=4, dst="ff02::fb"), ICMPv6MLDMultAddrRec(rtype=4, dst="ff02::1:3", sources=[b6])]),
    there6 / ICMPv6NIQueryIPv6(nonce=b"12345678", data=b6), back6 / ICMPv6NIReplyIPv6(nonce=b"12345678"),
    there6 / ICMPv6HAADRequest(id=3), back6 / ICMPv6HAADReply(id=3),
]
for i, p in enumerate(packets):
    if p.haslayer(Raw) and p.payload.name == "Raw" and p.name == "IP" and p.payload.load[0] in (42, 43, 253):
        p.proto = 1
    p.time = 1_700_000_000 + i * 0.001
wrpcap("made.pcap", [Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / p for p in packets])
