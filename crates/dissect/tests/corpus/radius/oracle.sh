#!/bin/sh
# Writes down what tshark finds in the captures of this directory, for tests/directory/tshark.rs to
# compare with. Columns: ports, code, identifier, authenticator, User-Name, NAS-IP-Address,
# Acct-Session-Id, Calling-Station-Id, Reply-Message.
set -eu
cd "$(dirname "$0")"
for f in *.pcap; do
    tshark -r "$f" -d udp.port==1899,radius -Y radius -T fields -E aggregator=\| -e udp.srcport -e udp.dstport \
        -e radius.code -e radius.id -e radius.authenticator -e radius.User_Name -e radius.NAS_IP_Address \
        -e radius.Acct_Session_Id -e radius.Calling_Station_Id -e radius.Reply_Message 2>/dev/null >"${f%.pcap}.tshark"
done
