"""Server and client of shop.proto: `shop.py serve PORT` and `shop.py call PORT`."""

import sys
import time
from concurrent import futures

import grpc
import shop_pb2 as pb
import shop_pb2_grpc as rpc


class Shop(rpc.ShopServicer):
    def Get(self, request, context):
        context.send_initial_metadata((("x-initial", "yes"),))
        context.set_trailing_metadata((("x-trailing", "yes"),))
        return pb.Item(name="got " + request.name, count=request.count + 1, part=request)

    def List(self, request, context):
        for i in range(request.count):
            yield pb.Item(name="item", count=i)

    def Put(self, items, context):
        return pb.Item(count=sum(i.count for i in items))

    def Chat(self, items, context):
        for i in items:
            yield pb.Item(name=i.name.upper())

    def Fail(self, request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, "no such item: 100% größe")

    def Slow(self, request, context):
        time.sleep(request.count / 1000)
        return pb.Item()


def serve(address):
    server = grpc.server(futures.ThreadPoolExecutor(8))
    rpc.add_ShopServicer_to_server(Shop(), server)
    server.add_insecure_port(address)
    server.start()
    server.wait_for_termination()


def attempt(call):
    try:
        call()
    except grpc.RpcError as e:
        print(e.code(), e.details())


def call(address):
    channel = grpc.insecure_channel(address)
    grpc.channel_ready_future(channel).result(10)
    shop = rpc.ShopStub(channel)
    seed = pb.Item(name="seed", packed=[1, 2, 300], ratio=0.5, mark=7, raw=b"\xff\x00", delta=-1, zig=-3)
    apple = pb.Item(name="apple", count=7, part=seed)
    for _ in range(3):
        shop.Get(apple, timeout=2, metadata=(("x-user", "me"),))
    list(shop.List(pb.Item(count=5)))
    shop.Put(iter([pb.Item(count=i) for i in range(4)]))
    list(shop.Chat(iter([pb.Item(name=n) for n in ("a", "b", "c")])))
    attempt(lambda: shop.Fail(apple))
    attempt(lambda: shop.Fail(apple))
    attempt(lambda: shop.Slow(pb.Item(count=500), timeout=0.05))
    shop.Slow.future(pb.Item(count=300)).cancel()
    words = " ".join(str(i * i) for i in range(1500))
    shop.Get(pb.Item(name=words), compression=grpc.Compression.Gzip)
    shop.Get(pb.Item(name="large", raw=bytes(range(256)) * 100))
    for slow in [shop.Slow.future(pb.Item(count=5 * i)) for i in range(6)]:
        slow.result()
    nope = channel.unary_unary(
        "/remora.test.Shop/Nope",
        request_serializer=pb.Item.SerializeToString,
        response_deserializer=pb.Item.FromString,
    )
    attempt(lambda: nope(apple))
    channel.close()


{"serve": serve, "call": call}[sys.argv[1]]("127.0.0.1:" + sys.argv[2])
