"""Writes a document with every type as BSON (types.bson), and as PyMongo writes it in relaxed
Extended JSON (types.json), for tests/mongodb.rs to compare with."""
import datetime
import bson
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp, json_util

doc = {
    "_id": ObjectId("65f0a1b2c3d4e5f601020304"), "double": 1.5, "whole": 2.0, "tiny": 1e-300, "large": 1.7e308,
    "nan": float("nan"), "inf": float("-inf"), "text": "caf\u00e9 \"quoted\"\n\x01", "doc": {"a": {"b": [1, "two", None, []]}},
    "empty": {}, "bytes": Binary(b"\x00\x01\xfe\xff", 0), "md5": Binary(b"12345", 5), "yes": True, "no": False,
    "date": datetime.datetime(2024, 2, 29, 12, 30, 45, 678000), "old": bson.datetime_ms.DatetimeMS(-1),
    "epoch": datetime.datetime(1970, 1, 1), "last": datetime.datetime(9999, 12, 31, 23, 59, 59),
    "far": bson.datetime_ms.DatetimeMS(253402300800000), "null": None, "regex": Regex("^a.b$", "im"),
    "code": Code("f()"), "int": -7, "long": Int64(2**62), "stamp": Timestamp(1700000000, 5), "min": MinKey(),
    "max": MaxKey(), "ref": DBRef("c", 1), "a.b $c": 1,
    "decimals": [Decimal128(d) for d in (
        "0", "-0", "12.50", "1E+3", "-0.00001", "NaN", "1.234E-10", "-Infinity", "Infinity", "0.000001", "1E-7", "10E+1",
        "9999999999999999999999999999999999", "1E-6176", "9.999999999999999999999999999999999E+6144", "0E-10", "1E+6144")],
}
options = json_util.JSONOptions(json_mode=json_util.JSONMode.RELAXED, datetime_conversion=bson.DatetimeConversion.DATETIME_MS)
open("types.bson", "wb").write(bson.encode(doc))
open("types.json", "w").write(json_util.dumps(bson.decode(bson.encode(doc), bson.CodecOptions(
    datetime_conversion=bson.DatetimeConversion.DATETIME_AUTO)), json_options=options, ensure_ascii=False) + "\n")
