#!/bin/sh
# Writes down what tshark finds in the captures of this directory and of tunnel/ and sctp/, for
# tests/packets_tshark.rs to compare with. Columns of ICMP: type, code, identifier, sequence number, the
# same four of ICMPv6, request that a reply answers. Columns of SCTP: chunk types, checksum.
set -eu
cd "$(dirname "$0")"
for f in *.pcap ../tunnel/vxlan.pcap; do
    tshark -r "$f" -Y 'icmp || icmpv6' -T fields -E occurrence=f -e icmp.type -e icmp.code -e icmp.ident -e icmp.seq \
        -e icmpv6.type -e icmpv6.code -e icmpv6.echo.identifier -e icmpv6.echo.sequence_number -e icmp.resp_to \
        -e icmpv6.resp_to 2>/dev/null >"${f%.pcap}.tshark"
done
for f in ../sctp/*.pcap; do
    tshark -r "$f" -T fields -e sctp.chunk_type -e sctp.checksum 2>/dev/null >"${f%.pcap}.tshark"
done
