"""What the captures of mqtt/ say: paho-mqtt, in each version, and packets by hand."""
import socket
import struct
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PORT = 1899


def client(name, version, user="ada", password="sesame", **more):
    c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=version, **more)
    if user:
        c.username_pw_set(user, password)
    c.done = threading.Event()
    c.got = []
    c.on_connect = c.on_subscribe = c.on_unsubscribe = c.on_publish = c.on_disconnect = \
        lambda cl, *a: cl.done.set()
    c.on_message = lambda cl, u, m: cl.got.append(m)
    return c


def do(c, what):
    c.done.clear()
    result = what()
    c.done.wait(3)
    return result


def conversation(version):
    sub = client(f"sub-{version}", version, **({} if version == mqtt.MQTTv5 else {"clean_session": True}))
    sub.connect("127.0.0.1", PORT, keepalive=30)
    sub.loop_start()
    time.sleep(0.3)
    do(sub, lambda: sub.subscribe([("sensors/#", 2), ("news", 0)]))
    do(sub, lambda: sub.subscribe("denied/+", 1))
    pub = client(f"pub-{version}", version)
    pub.will_set("sensors/gone", b"lost the sensor", 1, True)
    pub.connect("127.0.0.1", PORT, keepalive=30)
    pub.loop_start()
    time.sleep(0.3)
    for qos in (0, 1, 2):
        do(pub, lambda: pub.publish(f"sensors/{qos}", f'{{"celsius":2{qos}.5}}', qos, retain=qos == 1))
    do(pub, lambda: pub.publish("news", b"\x00\x01binary\xff", 1))
    if version == mqtt.MQTTv5:
        p = Properties(PacketTypes.PUBLISH)
        p.ContentType = "application/json"
        p.MessageExpiryInterval = 60
        p.ResponseTopic = "answers/17"
        p.CorrelationData = b"c-17"
        p.UserProperty = [("trace", "4bf92f35"), ("shop", "7")]
        p.TopicAlias = 3
        do(pub, lambda: pub.publish("sensors/alias", b"first", 1, properties=p))
        q = Properties(PacketTypes.PUBLISH)
        q.TopicAlias = 3
        pub._send_publish(900, b"", b"by its alias", 0, False, False, None, q)
        time.sleep(0.3)
        do(pub, lambda: pub.publish("nobody/listens", b"x", 1))
    do(pub, lambda: pub.publish("denied/1", b"not allowed", 1))
    time.sleep(0.5)
    do(sub, lambda: sub.unsubscribe(["news", "never"]))
    sub._send_pingreq()
    time.sleep(0.3)
    pub.disconnect()
    sub.disconnect()
    time.sleep(0.3)
    pub.loop_stop()
    sub.loop_stop()


def v31():
    conversation(mqtt.MQTTv31)


def v311():
    conversation(mqtt.MQTTv311)


def v5():
    conversation(mqtt.MQTTv5)


def raw():
    s = socket.create_connection(("127.0.0.1", PORT))
    s.settimeout(1)
    return s


def text(t):
    return struct.pack(">H", len(t)) + t.encode()


def say(s, first, body):
    n, length = len(body), b""
    while True:
        length += bytes([n % 128 | (128 if n > 127 else 0)])
        n //= 128
        if n == 0:
            break
    s.sendall(bytes([first]) + length + body)


def hear(s):
    try:
        return s.recv(65536)
    except (TimeoutError, ConnectionError):
        return b""


def refused():
    for version in (mqtt.MQTTv311, mqtt.MQTTv5):
        c = client("intruder", version, "ada", "wrong")
        c.connect("127.0.0.1", PORT)
        c.loop_start()
        time.sleep(0.5)
        c.loop_stop()
    # A version that there is not.
    s = raw()
    say(s, 0x10, text("MQTT") + b"\x07\x02\x00\x3c" + text("x"))
    hear(s)
    # A second connection with the same identifier ends the first.
    one, two = raw(), raw()
    for s in (one, two):
        say(s, 0x10, text("MQTT") + b"\x05\xc2\x00\x3c\x00" + text("twin") + text("ada") + text("sesame"))
        hear(s)
    hear(one)
    # An acknowledgement that nobody waits for, and a retransmission.
    say(two, 0x32, text("sensors/again") + b"\x00\x05\x00once")
    hear(two)
    say(two, 0x3a, text("sensors/again") + b"\x00\x05\x00once")
    hear(two)
    say(two, 0x62, b"\x00\x63")
    hear(two)
    say(two, 0xe0, b"\x00")
    two.close()


def large():
    c = client("large", mqtt.MQTTv311)
    c.connect("127.0.0.1", PORT)
    c.loop_start()
    time.sleep(0.3)
    do(c, lambda: c.publish("sensors/large", b"0123456789" * 7000, 1))
    c.disconnect()
    time.sleep(0.2)
    c.loop_stop()


globals()[sys.argv[1]]()
