#!/bin/sh
# Writes down what tshark finds in the captures of this directory, for tests/directory/tshark.rs to
# compare with. Columns: ports, commands, arguments, codes, subject of the message.
set -eu
cd "$(dirname "$0")"
for f in *.pcap; do
    tshark -r "$f" -d tcp.port==2525,smtp -d tcp.port==2424,smtp -Y smtp -T fields -E aggregator=\| -e tcp.srcport \
        -e tcp.dstport -e smtp.req.command -e smtp.req.parameter -e smtp.response.code -e imf.subject 2>/dev/null >"${f%.pcap}.tshark"
done
