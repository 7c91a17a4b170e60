"""Asks DuckDB the questions of `cargo xtask bench store` over the segments of a store.

Arguments: the directory, the file of questions, rounds. Prints JSON, a line for each question.
"""

import glob
import json
import os
import resource
import sys
import time

import duckdb

COLUMNS = (
    'id, ts, "src.name", "dst.name", protocol, elapsed_time, failed, request_bytes, response_bytes'
)
MEASURES = (
    "count(*), sum(CASE WHEN failed THEN 1 ELSE 0 END), sum(request_bytes), sum(response_bytes), "
    "min(elapsed_time), max(elapsed_time), approx_quantile(elapsed_time, [0.5, 0.9, 0.95, 0.99])"
)
# What a flag of KFL stands for is in the files of these protocols.
VIEWS = {"calls": ["*"], "http": ["http", "grpc"], "dns": ["dns"], "redis": ["redis"], "kafka": ["kafka"]}


def files(directory, protocols):
    found = [glob.glob(f"{directory}/store/calls-{p}-*.parquet") for p in protocols]
    return sorted(file for some in found for file in some)


def evict(directory):
    for file in glob.glob(f"{directory}/store/*.parquet"):
        opened = os.open(file, os.O_RDONLY)
        os.posix_fadvise(opened, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(opened)


def connect(directory):
    connection = duckdb.connect()
    connection.execute("SET memory_limit = '1GB'")
    connection.execute("SET threads = %d" % os.cpu_count())
    # As Remora does, footers are kept.
    connection.execute("SET parquet_metadata_cache = true")
    for view, protocols in VIEWS.items():
        listed = ", ".join(f"'{file}'" for file in files(directory, protocols))
        connection.execute(
            f"CREATE VIEW {view} AS SELECT * FROM read_parquet([{listed}], union_by_name = true)"
        )
    return connection


def statement(question, needles):
    if question["ask"] == "sql":
        return question["sql"]
    where = question["where"]
    if question.get("window"):
        where += " AND ts >= make_timestamp_ns({from}) AND ts < make_timestamp_ns({until})"
    for name, value in needles.items():
        where = where.replace("{%s}" % name, value)
    source = question["from"]
    if question["ask"] == "page":
        return f"SELECT {COLUMNS} FROM {source} WHERE {where} ORDER BY ts DESC, id DESC LIMIT 100"
    by = [f'"{name}"' for name in question["by"]]
    if "bucket" in question:
        by.append(f"epoch_ns(ts) // {question['bucket'] * 10**9}")
    keys = "".join(f"{key}, " for key in by)
    limit = question.get("limit", 10_000)
    return f"SELECT {keys}{MEASURES} FROM {source} WHERE {where} GROUP BY ALL ORDER BY count(*) DESC LIMIT {limit}"


def answer(connection, question, text):
    rows = connection.execute(text).fetchall()
    if question["ask"] == "page":
        return [row[0] for row in rows]
    if question["ask"] == "sql":
        return [[int(v) if hasattr(v, "__int__") and not isinstance(v, str) else v for v in row] for row in rows]
    keys = len(question["by"]) + ("bucket" in question)
    return [[int(v) for v in row[keys : keys + 6]] for row in rows]


def main():
    directory, questions, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with open(questions) as file:
        questions = json.load(file)
    with open(f"{directory}/needles.json") as file:
        needles = json.load(file)
    for question in questions:
        connection = connect(directory)
        text = statement(question, needles)
        evict(directory)
        times = []
        for _ in range(rounds + 1):
            start = time.perf_counter()
            answered = answer(connection, question, text)
            times.append((time.perf_counter() - start) * 1e3)
        print(
            json.dumps({"name": question["name"], "cold": times[0], "warm": times[1:], "answer": answered}),
            flush=True,
        )
        connection.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"memory": peak, "version": duckdb.__version__}))


main()
