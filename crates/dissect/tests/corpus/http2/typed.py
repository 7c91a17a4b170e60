"""Server and client of typed.proto: `typed.py serve PORT`, `typed.py call PORT RECORD`.

The client makes the same calls twice, asking the server's reflection in between, and writes what it
sent and got as lines of JSON into RECORD.
"""

import json
import sys
from concurrent import futures

import grpc
import typed_pb2 as pb
import typed_pb2_grpc as rpc
from google.protobuf import json_format
from google.protobuf.empty_pb2 import Empty
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

NAMES = (pb.DESCRIPTOR.services_by_name["Typed"].full_name, reflection.SERVICE_NAME)
# What google.protobuf imports, and what typed.proto does.
FILES = ["struct", "any", "timestamp", "duration", "wrappers", "field_mask", "empty"]


class Typed(rpc.TypedServicer):
    def Echo(self, request, context):
        return request

    def Watch(self, request, context):
        yield pb.Kinds(a_string="one")


def messages():
    yield pb.Kinds()
    k = pb.Kinds(
        a_double=0.1,
        a_float=1.5,
        an_int32=-3,
        an_int64=-(2**53) - 1,
        a_uint32=2**32 - 1,
        a_uint64=2**64 - 1,
        a_sint32=-(2**31),
        a_sint64=-(2**63),
        a_fixed32=7,
        a_fixed64=8,
        a_sfixed32=-9,
        a_sfixed64=-10,
        a_bool=True,
        a_string='größe "1"\n',
        some_bytes=b"\xff\x00\x01",
        color="COLOR_COLD",
        packed=[1, -1, 300],
        unpacked=[4, 5],
        words=["a", ""],
        colors=["COLOR_RED", "COLOR_COLD"],
        by_id=0,
        maybe=0,
        ratios=[1.0, float("inf"), float("nan"), 1e300, 1e-9],
        renamed="x",
    )
    k.part.name = "outer"
    k.part.parts.add(name="inner").parts.add()
    k.parts_by_name["first"].name = "p"
    k.names_by_id[-5] = "five"
    k.colors_by_truth[False] = 0
    yield k
    k = pb.Kinds()
    k.time.FromJsonString("2024-02-29T12:34:56.021Z")
    k.wait.FromJsonString("-1.000000500s")
    k.any.Pack(pb.Kinds.Part(name="packed"))
    k.settings.update({"a": 1, "b": [True, None, "x", {"c": 2.5}]})
    k.value.string_value = "v"
    k.list.extend([1, "two"])
    k.wrapped.value = 2**40
    k.wrapped_text.SetInParent()
    k.wrapped_bytes.value = b"\x00"
    k.mask.FromJsonString("aDouble,part.name")
    k.empty.SetInParent()
    yield k
    k = pb.Kinds()
    k.any.Pack(Empty())
    k.color = 99
    k.value.null_value = 0
    yield k


def text(message):
    return json_format.MessageToDict(message)


def serve(port):
    server = grpc.server(futures.ThreadPoolExecutor(8))
    rpc.add_TypedServicer_to_server(Typed(), server)
    reflection.enable_server_reflection(NAMES, server)
    server.add_insecure_port("127.0.0.1:" + port)
    server.start()
    server.wait_for_termination()


def ask():
    ask = reflection_pb2.ServerReflectionRequest
    yield ask(list_services="")
    yield ask(file_containing_symbol=NAMES[0])
    for name in FILES:
        yield ask(file_by_filename=f"google/protobuf/{name}.proto")


def call(port, record):
    channel = grpc.insecure_channel("127.0.0.1:" + port)
    grpc.channel_ready_future(channel).result(10)
    typed = rpc.TypedStub(channel)
    with open(record, "w") as out:
        for turn in range(2):
            for i, message in enumerate(messages()):
                how = grpc.Compression.Gzip if i == 2 else None
                answer = typed.Echo(message, compression=how)
                line = {"method": "Echo", "request": [text(message)], "response": [text(answer)]}
                print(json.dumps(line), file=out)
            answers = [text(k) for k in typed.Watch(Empty())]
            print(json.dumps({"method": "Watch", "request": [{}], "response": answers}), file=out)
            if turn == 0:
                reflect = reflection_pb2_grpc.ServerReflectionStub(channel)
                list(reflect.ServerReflectionInfo(ask()))
    channel.close()


if sys.argv[1] == "serve":
    serve(sys.argv[2])
else:
    call(sys.argv[2], sys.argv[3])
