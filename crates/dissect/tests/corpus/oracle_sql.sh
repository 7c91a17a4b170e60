#!/bin/sh
# Writes down what tshark finds in the captures of postgresql/ and mysql/, for tests/sql_tshark.rs
# to compare with.
#
# Columns of PostgreSQL: client port, type of each message, statements, error code, command tags.
# Columns of MySQL: client port, commands, statements, error code, number of columns.
set -eu
cd "$(dirname "$0")"
for f in postgresql/*.pcap; do
    tshark -r "$f" -d tcp.port==5499,pgsql -Y pgsql -T fields -E aggregator=\| -e tcp.srcport -e tcp.dstport \
        -e pgsql.type -e pgsql.query -e pgsql.code -e pgsql.tag 2>/dev/null | cut -c1-2000 >"${f%.pcap}.tshark"
done
for f in mysql/client.pcap mysql/compressed.pcap mysql/multi.pcap mysql/prepared.pcap mysql/logins.pcap; do
    tshark -r "$f" -d tcp.port==3399,mysql -Y mysql -T fields -E aggregator=\| -e tcp.srcport -e tcp.dstport \
        -e mysql.command -e mysql.query -e mysql.error_code -e mysql.stmt_id 2>/dev/null | cut -c1-2000 >"${f%.pcap}.tshark"
done
