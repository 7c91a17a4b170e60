#!/bin/sh
# Writes down what tshark finds in the captures of this directory, for tests/directory/tshark.rs to
# compare with. Columns: ports, message ids, operations, result codes, entries, scopes.
set -eu
cd "$(dirname "$0")"
for f in *.pcap; do
    tshark -r "$f" -d tcp.port==3890,ldap -Y ldap -T fields -E aggregator=\| -e tcp.srcport -e tcp.dstport \
        -e ldap.messageID -e ldap.protocolOp -e ldap.resultCode -e ldap.baseObject -e ldap.scope 2>/dev/null >"${f%.pcap}.tshark"
done
