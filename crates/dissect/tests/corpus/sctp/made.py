#!/usr/bin/env python3
"""Makes the captures of this directory with scapy 2.8: kernels without SCTP cannot speak it."""
import struct

from scapy.all import Ether, IP, IPv6, Raw, wrpcap
from scapy.layers.sctp import (
    SCTP, SCTPChunkAbort, SCTPChunkCookieAck, SCTPChunkCookieEcho, SCTPChunkData, SCTPChunkError, SCTPChunkHeartbeatAck,
    SCTPChunkHeartbeatReq, SCTPChunkInit, SCTPChunkInitAck, SCTPChunkParamStateCookie, SCTPChunkSACK, SCTPChunkShutdown,
    SCTPChunkShutdownAck, SCTPChunkShutdownComplete,
)


def diameter(code, request, hop, body=b""):
    return struct.pack("!I I I II", 1 << 24 | 20 + len(body), (0x80 if request else 0) << 24 | code, 0, hop, 7) + body


def avp(code, data):
    return struct.pack("!II", code, 0x40 << 24 | 8 + len(data)) + data + bytes(-len(data) % 4)


class Talk:
    def __init__(self, ip, client="192.0.2.1", server="192.0.2.2", ports=(40000, 3868)):
        self.ip, self.ends, self.ports = ip, (client, server), ports
        self.packets, self.tsn, self.ssn = [], [1000, 0xFFFFFFFE], [0, 0]

    def send(self, who, *chunks):
        p = self.ip(src=self.ends[who], dst=self.ends[1 - who]) / SCTP(
            sport=self.ports[who], dport=self.ports[1 - who], tag=0x1111 + who)
        for c in chunks:
            p /= c
        self.packets.append(p)

    def data(self, who, payload, ppid=46, begin=1, end=1, step=1, stream=0, **more):
        c = SCTPChunkData(tsn=self.tsn[who], stream_id=stream, stream_seq=self.ssn[who], proto_id=ppid, beginning=begin,
                          ending=end, data=payload, **more)
        self.tsn[who] = self.tsn[who] + 1 & 0xFFFFFFFF
        if end:
            self.ssn[who] += step
        return c

    def open(self):
        self.send(0, SCTPChunkInit(init_tag=0x1112, init_tsn=self.tsn[0], a_rwnd=65536))
        self.send(1, SCTPChunkInitAck(init_tag=0x1111, init_tsn=self.tsn[1], a_rwnd=65536,
                                      params=[SCTPChunkParamStateCookie(cookie=b"cookie..")]))
        self.send(0, SCTPChunkCookieEcho(cookie=b"cookie.."))
        self.send(1, SCTPChunkCookieAck())

    def close(self):
        self.send(0, SCTPChunkShutdown(cumul_tsn_ack=self.tsn[1] - 1 & 0xFFFFFFFF))
        self.send(1, SCTPChunkShutdownAck())
        self.send(0, SCTPChunkShutdownComplete())


def write(name, *talks):
    packets = [p for t in talks for p in t.packets]
    for i, p in enumerate(packets):
        p.time = 1_700_000_000 + i * 0.001
    wrpcap(name, [Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / p for p in packets])


# A Diameter peer: capabilities, then two requests in one packet, answers in fragments, out of order and twice.
t = Talk(IP)
t.open()
host = avp(264, b"client.example") + avp(296, b"example")
t.send(0, t.data(0, diameter(257, True, 1, host)))
t.send(1, SCTPChunkSACK(cumul_tsn_ack=1000, a_rwnd=65536), t.data(1, diameter(257, False, 1, avp(268, struct.pack("!I", 2001)) + host)))
t.send(0, t.data(0, diameter(280, True, 2, host)), t.data(0, diameter(280, True, 3, host), stream=1))
long = diameter(280, False, 2, avp(268, struct.pack("!I", 2001)) + avp(281, b"x" * 400))
parts = [t.data(1, long[:160], begin=1, end=0), t.data(1, long[160:320], begin=0, end=0), t.data(1, long[320:], begin=0, end=1)]
other = t.data(1, diameter(280, False, 3, avp(268, struct.pack("!I", 3001))), stream=1, unordered=1)
for c in (parts[0], parts[2], other, parts[1], parts[1], other):
    t.send(1, c)
t.send(0, SCTPChunkHeartbeatReq())
t.send(1, SCTPChunkHeartbeatAck())
t.close()
write("diameter.pcap", t)

# Refused, unanswered, aborted with a cause, an error, and a protocol that nobody knows.
refused = Talk(IP, ports=(40001, 3868))
refused.send(0, SCTPChunkInit(init_tag=5, init_tsn=1, a_rwnd=65536))
refused.send(1, SCTPChunkAbort())
silent = Talk(IP, server="192.0.2.3", ports=(40002, 3868))
silent.send(0, SCTPChunkInit(init_tag=5, init_tsn=1, a_rwnd=65536))
silent.send(0, SCTPChunkInit(init_tag=5, init_tsn=1, a_rwnd=65536))
strange = Talk(IPv6, client="2001:db8::1", server="2001:db8::2", ports=(40003, 2905))
strange.open()
strange.send(0, strange.data(0, b"~~ what is this?", ppid=3))
strange.send(1, strange.data(1, b"~~ nobody knows\xff", ppid=3))
strange.send(1, SCTPChunkError(error_causes=b"\x00\x01\x00\x08\x00\x07\x00\x00"))
strange.send(0, SCTPChunkAbort(error_causes=b"\x00\x0c\x00\x08done"))
write("control.pcap", refused, silent, strange)
