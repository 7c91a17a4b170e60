# Statements by a library for PostgreSQL: python3 sql.py psycopg2|psycopg PORT
# It begins when a line comes in, and prints its port and each statement.
import importlib, sys, threading

library = importlib.import_module(sys.argv[1])
sys.stdin.readline()
LOCK = threading.Lock()


def connection(n):
    where = f"host=127.0.0.1 port={sys.argv[2]} user=postgres dbname=postgres sslmode=require"
    client = library.connect(where)
    cursor = client.cursor()
    cursor.execute("SELECT inet_client_port()")
    port = cursor.fetchone()[0]
    for i, size in enumerate([1, 50_000, 3_000_000, 1]):
        statement = f"SELECT repeat('x', {size}) AS c{n}_{i}"
        cursor.execute(statement)
        assert len(cursor.fetchone()[0]) == size
        with LOCK:
            print(port, size, statement, flush=True)
    client.close()


threads = [threading.Thread(target=connection, args=(n,)) for n in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
