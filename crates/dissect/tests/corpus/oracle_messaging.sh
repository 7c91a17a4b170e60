#!/bin/sh
# Writes down what tshark finds in the captures of amqp/ and mqtt/, for tests/messaging_tshark.rs to
# compare with. It has no dissector of NATS.
#
# Columns of AMQP: client port, server port, class and method of each method, exchanges, routing keys,
# queues, codes of closes.
# Columns of MQTT: ports, type of each packet, topics, packet identifiers, QoS, codes of CONNACK.
set -eu
cd "$(dirname "$0")"
for f in amqp/*.pcap deepflow/amqp/*.pcap; do
    tshark -r "$f" -d tcp.port==5699,amqp -Y amqp -T fields -E aggregator=\| -e tcp.srcport -e tcp.dstport \
        -e amqp.method.class -e amqp.method.method -e amqp.method.arguments.exchange \
        -e amqp.method.arguments.routing_key -e amqp.method.arguments.queue \
        -e amqp.method.arguments.reply_code 2>/dev/null | cut -c1-2000 >"${f%.pcap}.tshark"
done
for f in mqtt/*.pcap deepflow/mqtt/*.pcap; do
    tshark -r "$f" -d tcp.port==1899,mqtt -Y mqtt -T fields -E aggregator=\| -e tcp.srcport -e tcp.dstport \
        -e mqtt.msgtype -e mqtt.topic -e mqtt.msgid -e mqtt.qos -e mqtt.conack.val 2>/dev/null |
        cut -c1-2000 >"${f%.pcap}.tshark"
done
