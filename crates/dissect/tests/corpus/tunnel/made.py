#!/usr/bin/env python3
"""Makes made.pcap with scapy 2.8: DNS questions and answers through tunnels that no kernel here offers."""
from scapy.all import DNS, DNSQR, DNSRR, Dot1AD, Dot1Q, Ether, GRE, IP, IPv6, UDP, wrpcap
from scapy.contrib.erspan import ERSPAN_II
from scapy.contrib.geneve import GENEVE
from scapy.layers.vxlan import VXLAN

out = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
eth = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")
a, b = "192.0.2.1", "192.0.2.2"
tunnels = [
    ("ipip", lambda p: out / IP(src=a, dst=b) / p),
    ("sixinfour", lambda p: out / IP(src=a, dst=b) / p),
    ("fourinsix", lambda p: out / IPv6(src="2001:db8::1", dst="2001:db8::2") / p),
    ("gre", lambda p: out / IP(src=a, dst=b) / GRE(key_present=1, key=7, seqnum_present=1, seqence_number=1) / p),
    ("gretap", lambda p: out / IP(src=a, dst=b) / GRE(proto=0x6558) / eth / p),
    ("erspan", lambda p: out / IP(src=a, dst=b) / GRE(proto=0x88BE, seqnum_present=1, seqence_number=1) / ERSPAN_II() / eth / p),
    ("vxlan", lambda p: out / IP(src=a, dst=b) / UDP(sport=50000, dport=8472) / VXLAN(flags=8, vni=5) / eth / p),
    ("geneve", lambda p: out / IP(src=a, dst=b) / UDP(sport=50000, dport=6081) / GENEVE(vni=5, proto=0x6558) / eth / p),
    ("vlan", lambda p: out / Dot1Q(vlan=5) / p),
    ("qinq", lambda p: out / Dot1AD(vlan=5) / Dot1Q(vlan=6) / p),
    ("nested", lambda p: out / IP(src=a, dst=b) / UDP(sport=50000, dport=4789) / VXLAN(flags=8, vni=5) / eth / Dot1Q(vlan=9) / IP(src="10.1.0.1", dst="10.1.0.2") / GRE() / p),
]
packets = []
for i, (name, wrap) in enumerate(tunnels):
    six = name == "sixinfour"
    ip = (lambda s, d: IPv6(src=f"2001:db8:a::{s}", dst=f"2001:db8:a::{d}")) if six else (lambda s, d: IP(src=f"10.0.0.{s}", dst=f"10.0.0.{d}"))
    question = DNSQR(qname=f"{name}.example", qtype="A")
    packets.append(wrap(ip(1, 2) / UDP(sport=40000 + i, dport=53) / DNS(id=i + 1, rd=1, qd=question)))
    packets.append(wrap(ip(2, 1) / UDP(sport=53, dport=40000 + i) / DNS(id=i + 1, qr=1, rd=1, ra=1, qd=question, an=DNSRR(rrname=f"{name}.example", type="A", ttl=60, rdata="10.9.9.9"))))
for i, p in enumerate(packets):
    p.time = 1_700_000_000 + i * 0.001
wrpcap("made.pcap", packets)
