"""Drives the stub server with the DataStax driver.

usage: clients.py PORT VERSION [lz4|snappy|auth]
"""
import logging, sys
from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, ExecutionProfile, EXEC_PROFILE_DEFAULT
from cassandra.policies import FallthroughRetryPolicy, RoundRobinPolicy
from cassandra.query import BatchStatement, SimpleStatement

PORT, VERSION, HOW = int(sys.argv[1]), int(sys.argv[2]), (sys.argv + [""])[3]


def connect(**options):
    profile = ExecutionProfile(load_balancing_policy=RoundRobinPolicy(), request_timeout=5, retry_policy=FallthroughRetryPolicy())
    return Cluster(["127.0.0.1"], port=PORT, protocol_version=VERSION, compression=HOW if HOW in ("lz4", "snappy") else False,
                   schema_metadata_enabled=False, token_metadata_enabled=False, execution_profiles={EXEC_PROFILE_DEFAULT: profile},
                   **options)


def attempt(f, *args, **more):
    try:
        return f(*args, **more)
    except Exception as e:
        print(type(e).__name__, str(e)[:100])


if HOW == "auth":
    for password in ("hunter2-cql", "wrong-cql"):
        cluster = connect(auth_provider=PlainTextAuthProvider("alice", password))
        session = attempt(cluster.connect)
        if session:
            session.execute("CREATE ROLE bob WITH PASSWORD = 'hunter2-role' AND LOGIN = true")
        cluster.shutdown()
    sys.exit()
cluster = connect()
session = cluster.connect("shop")
session.execute("CREATE TABLE users (id int PRIMARY KEY, name text)")
print(len(list(session.execute("SELECT * FROM users"))))
session.execute(SimpleStatement("SELECT * FROM users WHERE id IN (1, 2) /* page */", consistency_level=ConsistencyLevel.LOCAL_QUORUM, fetch_size=2))
session.execute("INSERT INTO users (id, name) VALUES (%s, %s)", (7, "it's"))
print(len(list(session.execute("SELECT * FROM users /* everyone */"))))
attempt(session.execute, "SELEC 1")
attempt(session.execute, "SELECT * FROM nothing_here")
attempt(session.execute, "SELECT * FROM timeout")
insert = session.prepare("INSERT INTO users (id, name, visits) VALUES (?, ?, ?)")
insert.consistency_level = ConsistencyLevel.QUORUM
session.execute(insert, (8, "caf\u00e9", 10**12))
select = session.prepare("SELECT * FROM users WHERE id = ?")
print(list(session.execute(select, (8,)))[0][:3])
batch = BatchStatement(consistency_level=ConsistencyLevel.ONE)
batch.add(insert, (9, "nine", 9))
batch.add(SimpleStatement("DELETE FROM users WHERE id = 3"))
session.execute(batch)
for future in [session.execute_async(select, (n,)) for n in range(10)]:
    future.result()
session.execute("SELECT count(*) FROM users", trace=True) if VERSION > 2 else None
session.execute("INSERT INTO users (id, name) VALUES (1, '%s')" % ("x" * 150_000)) if VERSION >= 5 else None
cluster.shutdown()
