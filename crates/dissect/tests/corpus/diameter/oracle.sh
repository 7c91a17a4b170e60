#!/bin/sh
# Writes down what tshark finds in the captures of this directory, for tests/directory/tshark.rs to
# compare with. Columns: ports, command, application, flags, hop-by-hop and end-to-end identifiers,
# Session-Id, Origin-Host, Result-Code, User-Name.
set -eu
cd "$(dirname "$0")"
for f in *.pcap; do
    tshark -r "$f" -Y diameter -T fields -E aggregator=\| -e tcp.srcport -e tcp.dstport -e diameter.cmd.code \
        -e diameter.applicationId -e diameter.flags -e diameter.hopbyhopid -e diameter.endtoendid -e diameter.Session-Id \
        -e diameter.Origin-Host -e diameter.Result-Code -e diameter.User-Name 2>/dev/null >"${f%.pcap}.tshark"
done
