"""Writes messages.txt: one message of every API and version that kafka-python can encode, with what
it says. Needs kafka-python 3. Columns: API key, version, request or response, bytes behind the
header in hexadecimal, the message as JSON.
"""
import base64
import importlib
import json
import pkgutil
import types
import uuid
import warnings

import kafka.protocol
from kafka.protocol.api_message import ApiMessage

warnings.simplefilter("ignore")
ID = uuid.UUID("0123456789abcdef0123456789abcdef")
SIMPLE = {
    "bool": (True, True),
    "int8": (1, 1),
    "int16": (36, 36),
    "uint16": (9092, 9092),
    "int32": (70_000, 70_000),
    "uint32": (70_000, 70_000),
    "int64": (-5_000_000_000, -5_000_000_000),
    "float64": (1.5, 1.5),
    "uuid": (ID, base64.urlsafe_b64encode(ID.bytes).decode().rstrip("=")),
    "bytes": (b"\xfftoken", "data:;base64,/3Rva2Vu"),
    "records": (None, None),
    # What kafka-python makes of int32 fields of authorized operations.
    "bitfield": ({3, 8}, 264),
}
SECRET = {("SaslAuthenticate", "AuthBytes"), ("AlterUserScramCredentials", "Salt"), ("AlterUserScramCredentials", "SaltedPassword")}


def modules(package):
    for m in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if ".old" not in m.name and ".schemas" not in m.name:
            module = importlib.import_module(m.name)
            if m.ispkg:
                modules(module)


def camel(name):
    return name[0].lower() + name[1:]


def shown_name(api, struct, field):
    """The name in the definition, where kafka-python has another."""
    if field._name != "authorized_operations":
        return camel(field._name)
    if struct.name == "topics":
        return "topicAuthorizedOperations"
    return "clusterAuthorizedOperations" if api in ("Metadata", "DescribeCluster") else "authorizedOperations"


def sample(api, field, version):
    """A value of a field: for the encoder, and as JSON."""
    if field.is_struct():
        return fill(api, field, field.data_class, version)
    kind = field.type_str
    if field.is_struct_array():
        pairs = [fill(api, field, field.data_class, version) for _ in range(1)]
        return [p[0] for p in pairs], [p[1] for p in pairs]
    if kind.startswith("[]"):
        if kind[2:] == "string":
            return ["a", "topic-b"], ["a", "topic-b"]
        value, shown = SIMPLE[kind[2:]]
        return [value, value], [shown, shown]
    if (api, field._name) in SECRET:
        return b"secret", "***"
    if kind == "string":
        null = field.nullable_for_version_q(version) and field._name.startswith("E")
        return (None, None) if null else (f"{field._name}", f"{field._name}")
    return SIMPLE[kind]


def fill(api, struct, cls, version):
    values, shown = {}, {}
    for field in struct._fields:
        if field.for_version_q(version):
            values[field.name], shown[shown_name(api, struct, field)] = sample(api, field, version)
    if cls is None:
        tags = {f.name for f in struct._fields if f.name in values and f._tag is not None}
        return types.SimpleNamespace(tags=tags, unknown_tags=None, **values), shown
    return cls(**values), shown


def subclasses(cls):
    for sub in cls.__subclasses__():
        yield sub
        yield from subclasses(sub)


def main():
    modules(kafka.protocol)
    lines = set()
    for cls in subclasses(ApiMessage):
        if cls._class_version is not None or cls._struct is None:
            continue
        api = cls.name.removesuffix("Request").removesuffix("Response")
        for version in range(cls.max_version + 1):
            message, shown = fill(api, cls._struct, cls[None], version)
            wire = message.encode(version=version)
            line = f"{cls.API_KEY:2} {version:2} {cls.type:8} {bytes(wire).hex()} {json.dumps(shown, separators=(',', ':'))}"
            lines.add(line)
    with open(__file__.replace("vectors.py", "messages.txt"), "w") as f:
        f.write("".join(line + "\n" for line in sorted(lines)))
    print(len(lines))


main()
