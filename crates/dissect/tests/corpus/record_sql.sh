#!/bin/sh
# Records the captures in postgresql/ and mysql/ from real servers and clients, inside a network
# namespace of its own. Needs root, tcpdump, PostgreSQL (initdb and postgres in PG_BIN or
# /usr/lib/postgresql/15/bin; a user called postgres), psql, MariaDB (a user called mysql), its
# client, and a python3 (PYTHON) with psycopg, asyncpg, pymysql and mysql-connector-python. Times
# and process ids in the captures change with each recording, so the expectations have to be
# written anew:
#   sudo PYTHON=venv/bin/python ./record_sql.sh && UPDATE_EXPECT=1 cargo test -p remora-dissect --test calls
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ]; then
    exec unshare -n "$0" inside
fi
ip link set lo up
python=${PYTHON:-python3}
bin=${PG_BIN:-/usr/lib/postgresql/15/bin}
work=$(mktemp -d)
chmod 755 "$work"
cleanup() {
    [ ! -f "$work/pg/postmaster.pid" ] || kill "$(head -1 "$work/pg/postmaster.pid")"
    [ ! -f "$work/mysql/pid" ] || kill "$(cat "$work/mysql/pid")"
    while [ -f "$work/pg/postmaster.pid" ] || [ -f "$work/mysql/pid" ]; do sleep 0.1; done
    rm -rf "$work"
}
trap cleanup EXIT

# record NAME PORT COMMAND...: what the command says on the port.
record() {
    name=$1 port=$2
    shift 2
    tcpdump -i lo -U -s0 -B 16384 --immediate-mode -w "$work/cap" "port $port" 2>"$work/log" &
    pid=$!
    until grep -q listening "$work/log"; do sleep 0.1; done
    "$@" >"$work/out" 2>&1 || true
    sleep 0.3
    kill -INT $pid
    wait $pid || true
    cp "$work/cap" "$here/$name.pcap"
    chmod 644 "$here/$name.pcap"
    [ -z "${KEEP_OUTPUT:-}" ] || cp "$work/out" "$KEEP_OUTPUT/$(basename "$name").out"
}
mkdir -p "$here/postgresql" "$here/mysql"

# --- PostgreSQL --------------------------------------------------------------------------------
mkdir "$work/pg"
chown postgres "$work/pg"
as() { runuser -u postgres -- "$@"; }
as "$bin/initdb" -D "$work/pg" -A trust -E UTF8 --locale=C >/dev/null
printf "local all all trust\nhost all ada 127.0.0.1/32 scram-sha-256\nhost all old 127.0.0.1/32 md5\nhost all plain 127.0.0.1/32 password\nhost all all 127.0.0.1/32 trust\n" >"$work/pg/pg_hba.conf"
openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=localhost -keyout "$work/pg/server.key" \
    -out "$work/pg/server.crt" 2>/dev/null
chown postgres "$work"/pg/server.*
chmod 600 "$work/pg/server.key"
echo "ssl = on" >>"$work/pg/postgresql.conf"
as "$bin/postgres" -D "$work/pg" -p 5499 -c listen_addresses=127.0.0.1 -c unix_socket_directories="$work/pg" \
    -c fsync=off >"$work/pglog" 2>&1 &
until as psql -h "$work/pg" -p 5499 -c 'SELECT 1' postgres >/dev/null 2>&1; do sleep 0.1; done
as psql -q -h "$work/pg" -p 5499 postgres <<-'END'
	CREATE ROLE ada LOGIN SUPERUSER PASSWORD 'sesame';
	SET password_encryption = md5;
	CREATE ROLE old LOGIN PASSWORD 'sesame';
	CREATE ROLE plain LOGIN PASSWORD 'sesame';
	CREATE DATABASE shop OWNER ada;
END
url="host=127.0.0.1 port=5499 dbname=shop user=ada password=sesame sslmode=disable"
simple() {
    psql "$url" <<-'END'
	CREATE TABLE items (id serial PRIMARY KEY, name text UNIQUE, price numeric(8,2), made timestamptz, data bytea);
	INSERT INTO items (name, price, made) VALUES ('anvil', 12.50, '2026-01-02 03:04:05+00'), ('tab	and \ slash', NULL, NULL);
	SELECT * FROM items ORDER BY id;
	INSERT INTO items (name) VALUES ('anvil');
	SELECT nothing FROM nowhere;
	SELECT 1 \; SELECT 2, 3 \; UPDATE items SET price = 1;
	SELECT 1 \; SELECT 1/0 \; SELECT 3;
	;
	BEGIN;
	DELETE FROM items WHERE id = 99;
	DROP TABLE IF EXISTS missing;
	ROLLBACK;
	ALTER ROLE plain PASSWORD 'other';
	ALTER ROLE plain PASSWORD 'sesame';
	SET application_name = 'renamed';
	SELECT pg_sleep(0.05);
	DO $$ BEGIN RAISE NOTICE 'take note'; END $$;
	COPY items (name, price) FROM STDIN;
	copied	1.5
	again	\N
	\.
	COPY items (name) TO STDOUT;
	COPY items (price) FROM STDIN;
	not a number
	\.
	SELECT repeat('x', 40000) FROM generate_series(1, 2);
	LISTEN jobs;
	NOTIFY jobs, 'work to do';
END
}
record postgresql/simple 5499 simple
cat >"$work/extended.py" <<'END'
import psycopg, datetime, decimal, sys
c = psycopg.connect(sys.argv[1], autocommit=True, prepare_threshold=2)
cur = c.cursor()
for n in range(4):
    cur.execute("SELECT %s::int + 1 AS next, %s::text", (n, "t%d" % n))
    cur.fetchall()
cur.execute("SELECT id, name, price FROM items WHERE name = %s", ("anvil",))
b = c.cursor(binary=True)
b.execute("SELECT 1::int2, 2::int8, 1.5::float8, 12345.678::numeric, true, 'x'::text, '2026-11-21'::date,"
          " '2026-11-21 01:02:03.5+00'::timestamptz, '\\x00ff'::bytea, NULL,"
          " '5b6fd3a0-8d2e-4c39-a4ee-0123456789ab'::uuid, '{\"a\": 1}'::jsonb")
try:
    cur.execute("INSERT INTO items (name) VALUES (%s)", ("anvil",))
except psycopg.Error:
    pass
try:
    cur.execute("SELEC %s", (1,))
except psycopg.Error:
    pass
with c.transaction():
    with c.cursor("named") as s:
        s.itersize = 2
        s.execute("SELECT g FROM generate_series(1, 5) g WHERE g > %s", (0,))
        list(s)
cur.executemany("UPDATE items SET price = %s WHERE name = %s", [(1, "anvil"), (2, "copied"), (3, "none")])
with cur.copy("COPY items (name) FROM STDIN") as copy:
    copy.write("one\ntwo\n")
with cur.copy("COPY (SELECT name FROM items ORDER BY id) TO STDOUT") as copy:
    list(copy)
with c.pipeline():
    for n in range(10):
        c.execute("SELECT %s::int * 2", (n,))
try:
    with c.pipeline():
        c.execute("SELECT 1")
        c.execute("SELECT 1/%s::int", (0,))
        c.execute("SELECT 'never'")
except psycopg.Error:
    pass
c.execute("SELECT 'after'")
c.close()
END
record postgresql/extended 5499 "$python" "$work/extended.py" "$url"
cat >"$work/async.py" <<'END'
import asyncio, asyncpg, sys
async def main():
    c = await asyncpg.connect(host="127.0.0.1", port=5499, user="ada", password="sesame", database="shop", ssl=False)
    print(await c.fetch("SELECT id, name, price FROM items WHERE id < $1 ORDER BY id", 3))
    s = await c.prepare("SELECT $1::int8 + $2::int8 AS sum")
    for n in range(3):
        print(await s.fetchval(n, n))
    async with c.transaction():
        async for row in c.cursor("SELECT g FROM generate_series(1, 120) g"):
            pass
    try:
        await c.execute("SELECT * FROM nowhere")
    except asyncpg.PostgresError:
        pass
    await c.close()
asyncio.run(main())
END
record postgresql/binary 5499 "$python" "$work/async.py"
logins() {
    PGPASSWORD=wrong psql -w "host=127.0.0.1 port=5499 dbname=shop user=ada sslmode=disable" -c 'SELECT 1'
    PGPASSWORD=sesame psql -w "host=127.0.0.1 port=5499 dbname=shop user=old sslmode=disable" -c 'SELECT 1'
    PGPASSWORD=sesame psql -w "host=127.0.0.1 port=5499 dbname=shop user=plain sslmode=disable" -c 'SELECT 1'
    psql "host=127.0.0.1 port=5499 dbname=none user=postgres sslmode=disable" -c 'SELECT 1'
    PGPASSWORD=sesame psql "host=127.0.0.1 port=5499 dbname=shop user=ada sslmode=require" -c 'SELECT 1'
    "$python" - "$url" <<-'END'
	import psycopg, sys, threading
	c = psycopg.connect(sys.argv[1], autocommit=True)
	threading.Timer(0.3, c.cancel).start()
	try:
	    c.execute("SELECT pg_sleep(20)")
	except psycopg.Error:
	    pass
	k = psycopg.connect(sys.argv[1], autocommit=True)
	k.execute("SELECT pg_terminate_backend(%s)", (c.info.backend_pid,))
	try:
	    c.execute("SELECT 1")
	except psycopg.Error:
	    pass
	END
}
record postgresql/logins 5499 logins
as psql -q -h "$work/pg" -p 5499 -c "ALTER SYSTEM SET ssl = off" -c "SELECT pg_reload_conf()" postgres >/dev/null
sleep 0.5
prefer() {
    PGPASSWORD=sesame psql "host=127.0.0.1 port=5499 dbname=shop user=ada sslmode=prefer" -c 'SELECT 1'
}
record postgresql/refused 5499 prefer

# --- MariaDB -----------------------------------------------------------------------------------
mkdir "$work/mysql"
chown mysql "$work/mysql"
mariadb-install-db --no-defaults --user=mysql --datadir="$work/mysql" --auth-root-authentication-method=normal >/dev/null
mariadbd --no-defaults --user=mysql --datadir="$work/mysql" --bind-address=127.0.0.1 --port=3399 --local-infile=1 \
    --socket="$work/mysql/socket" --pid-file="$work/mysql/pid" --innodb-flush-log-at-trx-commit=0 --plugin-load-add=auth_ed25519 \
    --ssl-cert="$work/pg/server.crt" --ssl-key="$work/mysql/key" >"$work/mylog" 2>&1 &
cp "$work/pg/server.key" "$work/mysql/key"
chown mysql "$work/mysql/key"
chmod 644 "$work/pg/server.crt"
chmod 755 "$work/pg"
my() { mariadb --no-defaults "$@"; }
until my --socket="$work/mysql/socket" -u root -e 'SELECT 1' >/dev/null 2>&1; do sleep 0.1; done
my --socket="$work/mysql/socket" -u root <<-'END'
	CREATE DATABASE shop;
	CREATE USER ada@'127.0.0.1' IDENTIFIED BY 'sesame';
	CREATE USER eve@'127.0.0.1' IDENTIFIED VIA ed25519 USING PASSWORD('sesame');
	GRANT ALL ON *.* TO ada@'127.0.0.1';
	DELIMITER //
	CREATE PROCEDURE shop.two() BEGIN SELECT 1 AS one; SELECT 2 AS two, 3 AS three; END//
END
cat >"$work/rows.csv" <<'END'
from file,7
another,8
END
tcp="-h 127.0.0.1 -P 3399 -u ada -psesame --skip-ssl shop"
client() {
    # Comments are kept, errors do not end it.
    # shellcheck disable=SC2086
    my $tcp --force --comments --local-infile=1 <<-END
	CREATE TABLE items (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(100) UNIQUE, price DECIMAL(8,2), data BLOB);
	INSERT INTO items (name, price) VALUES ('anvil', 12.50), ('tab	and \\\\ slash', NULL);
	SELECT * FROM items;
	SELECT id FROM items WHERE id > 100;
	INSERT INTO items (name) VALUES ('anvil');
	SELECT * FROM nowhere;
	UPDATE items SET price = 1;
	USE mysql;
	USE shop;
	CALL two();
	LOAD DATA LOCAL INFILE '$work/rows.csv' INTO TABLE items FIELDS TERMINATED BY ',' (name, price);
	CREATE USER x@localhost IDENTIFIED BY 'secret';
	DROP USER x@localhost;
	SELECT REPEAT('x', 40000) UNION ALL SELECT REPEAT('y', 40000);
	DELETE FROM items WHERE name = 'anvil';
	END
}
record mysql/client 3399 client
compressed() {
    # shellcheck disable=SC2086
    my $tcp --compress <<-'END'
	SELECT 1;
	SELECT REPEAT('abc', 20000), 'end';
	SELECT seq FROM shop.items, (SELECT 1 AS seq UNION SELECT 2) s;
	END
}
record mysql/compressed 3399 compressed
cat >"$work/multi.py" <<'END'
import pymysql
from pymysql.constants import CLIENT
c = pymysql.connect(host="127.0.0.1", port=3399, user="ada", password="sesame", database="shop",
                    client_flag=CLIENT.MULTI_STATEMENTS, ssl_disabled=True)
cur = c.cursor()
cur.execute("SELECT %s + 1", (1,))
cur.execute("SELECT 1; SELECT 2, 3; UPDATE items SET price = 2")
while cur.nextset():
    pass
try:
    cur.execute("SELECT 1; SELECT bad FROM worse; SELECT 3")
    while cur.nextset():
        pass
except pymysql.Error:
    pass
c.select_db("mysql")
try:
    c.select_db("none")
except pymysql.Error:
    pass
c.ping()
c.close()
try:
    pymysql.connect(host="127.0.0.1", port=3399, user="ada", password="wrong", ssl_disabled=True)
except pymysql.Error:
    pass
END
record mysql/multi 3399 "$python" "$work/multi.py"
cat >"$work/prepared.py" <<'END'
import datetime, decimal, mysql.connector
c = mysql.connector.connect(host="127.0.0.1", port=3399, user="ada", password="sesame", database="shop",
                            ssl_disabled=True, use_pure=True)
cur = c.cursor(prepared=True)
for n in range(3):
    cur.execute("SELECT id, name, price, %s + 0 FROM items WHERE id < %s", (n, 100))
    cur.fetchall()
cur.execute("SELECT %s, %s, %s, %s, %s, %s", ("text", 1.5, datetime.datetime(2026, 11, 21, 1, 2, 3, 500),
            datetime.date(2026, 11, 21), None, decimal.Decimal("1.25")))
cur.fetchall()
try:
    cur.execute("SELECT * FROM nowhere WHERE id = %s", (1,))
except mysql.connector.Error:
    pass
try:
    cur.execute("INSERT INTO items (name) VALUES (%s)", ("from file",))
except mysql.connector.Error:
    pass
cur.execute("INSERT INTO items (data) VALUES (%s)", (b"\x00\xff",))
cur.close()
c.cmd_change_user("ada", "sesame", "mysql")
c.cmd_statistics()
c.cmd_reset_connection()
c.close()
END
record mysql/prepared 3399 "$python" "$work/prepared.py"
logins() {
    my -h 127.0.0.1 -P 3399 -u ada -pwrong --skip-ssl -e 'SELECT 1'
    my -h 127.0.0.1 -P 3399 -u eve -psesame --skip-ssl -e 'SELECT CURRENT_USER()'
    my -h 127.0.0.1 -P 3399 -u ada -psesame --ssl -e 'SELECT 1'
}
record mysql/logins 3399 logins
