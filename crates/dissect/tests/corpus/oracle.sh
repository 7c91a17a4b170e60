#!/bin/sh
# Writes down what tshark finds in the captures of dns/, kafka/ and redis/, for tests/calls.rs to
# compare with. Columns of DNS: response or not, id, name asked for, its type, response code, answers, time
# to the response in seconds. Columns of Redis: source and destination port, strings in hexadecimal,
# error. Columns of Kafka: source and destination port, length, key of the request's API, version,
# correlation id, client id, error codes, topics, groups, whether tshark lacks the version.
set -eu
cd "$(dirname "$0")"
for f in dns/*.pcap deepflow/dns/*.pcap; do
    tshark -r "$f" -d udp.port==5300,dns -d tcp.port==5300,dns -d udp.port==5301,dns -d tcp.port==5302,dns \
        -Y dns -T fields -e dns.flags.response -e dns.id -e dns.qry.name -e dns.qry.type -e dns.flags.rcode \
        -e dns.count.answers -e dns.time 2>/dev/null >"${f%.pcap}.tshark"
done
for f in redis/resp2.pcap deepflow/redis/redis-error.pcap deepflow/redis/redis-debug.pcap; do
    tshark -r "$f" -d tcp.port==6390,resp -Y 'resp && resp.bulk_string.length < 10000 || resp.error' -T fields \
        -e tcp.srcport -e tcp.dstport -e resp.bulk_string.value -e resp.error 2>/dev/null |
        awk -F'\t' 'length($0) < 2000' >"${f%.pcap}.tshark"
done
for f in kafka/*.pcap deepflow/kafka/*.pcap; do
    # The mock broker listens where it likes.
    port=$(tshark -r "$f" -Y 'tcp.flags.syn == 1 && tcp.flags.ack == 1' -T fields -e tcp.srcport 2>/dev/null | head -1)
    tshark -r "$f" -d "tcp.port==${port:-9092},kafka" -d tcp.port==36333,kafka -Y kafka -T fields -e tcp.srcport \
        -e tcp.dstport -e kafka.len -e kafka.request_key -e kafka.api_version -e kafka.correlation_id \
        -e kafka.client_id -e kafka.error -e kafka.topic_name -e kafka.consumer_group \
        -e kafka.unsupported_api_version 2>/dev/null >"${f%.pcap}.tshark"
done
