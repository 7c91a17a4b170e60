#!/bin/bash
# Records the captures in this directory from slapd, the clients of OpenLDAP and ldap3, inside a
# network namespace of its own. Needs root, tcpdump, slapd, ldap-utils, openssl and a python3 with
# ldap3 (PYTHON). The times change with each recording, so the expectations have to be written anew:
#   sudo PYTHON=venv/bin/python ./record.sh && ./oracle.sh && UPDATE_EXPECT=1 cargo test -p remora-dissect --test calls
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ]; then
    exec unshare -n "$0" inside
fi
python=${PYTHON:-python3}
ip link set lo up
work=$(mktemp -d)
server=
trap 'kill $server 2>/dev/null; wait; rm -rf "$work"' EXIT

# record NAME FILTER COMMAND...: what the command says.
record() {
    local name=$1 filter=$2
    shift 2
    tcpdump -i lo -U -s0 --immediate-mode -w "$work/cap" "$filter" 2>"$work/log" &
    local pid=$!
    until grep -q listening "$work/log"; do sleep 0.1; done
    "$@" >"$work/out.$name" 2>&1 || true
    sleep 0.5
    kill -INT $pid
    wait $pid || true
    cp "$work/cap" "$here/$name.pcap"
    chmod 644 "$here/$name.pcap"
}

openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=localhost \
    -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
mkdir "$work/data"
cat >"$work/slapd.conf" <<END
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile $work/slapd.pid
allow bind_v2 bind_anon_cred
TLSCertificateFile $work/cert.pem
TLSCertificateKeyFile $work/key.pem
database mdb
suffix dc=shop,dc=example
rootdn cn=admin,dc=shop,dc=example
rootpw hunter2
directory $work/data
END
cat >"$work/people.ldif" <<END
dn: dc=shop,dc=example
objectClass: dcObject
objectClass: organization
o: Shop
dc: shop

dn: ou=people,dc=shop,dc=example
objectClass: organizationalUnit
ou: people

dn: ou=elsewhere,dc=shop,dc=example
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://192.0.2.9/ou=elsewhere,dc=shop,dc=example
END
for name in anna bert cora dirk; do
    printf '\ndn: uid=%s,ou=people,dc=shop,dc=example\nobjectClass: inetOrgPerson\nuid: %s\ncn: %s Müller\nsn: Müller\nmail: %s@shop.example\nuserPassword: secret-%s\n' \
        $name $name $name $name $name >>"$work/people.ldif"
done
cat >"$work/change.ldif" <<END
dn: uid=anna,ou=people,dc=shop,dc=example
changetype: modify
replace: mail
mail: anna@new.example
-
add: telephoneNumber
telephoneNumber: +49 30 1234
-
delete: userPassword
-
add: userPassword
userPassword: changed-secret

dn: uid=bert,ou=people,dc=shop,dc=example
changetype: modrdn
newrdn: uid=berthold
deleteoldrdn: 1
newsuperior: dc=shop,dc=example

dn: uid=cora,ou=people,dc=shop,dc=example
changetype: delete

dn: uid=cora,ou=people,dc=shop,dc=example
changetype: delete
END

slapd -d 0 -f "$work/slapd.conf" -h "ldap://127.0.0.1:3890/" >"$work/slapd.out" 2>&1 &
server=$!
until (: <"/dev/tcp/127.0.0.1/3890") 2>/dev/null; do sleep 0.1; done

url=ldap://127.0.0.1:3890
admin="-x -H $url -D cn=admin,dc=shop,dc=example -w hunter2"
base=dc=shop,dc=example

operations() {
    ldapsearch -x -H $url -LLL -s base -b '' '*' +
    ldapadd $admin -f "$work/people.ldif"
    ldapsearch $admin -b $base '(&(objectClass=inetOrgPerson)(|(uid=a*)(cn=*ert*ül*)(!(mail=*))(sn~=Mueller)(uid>=d)))' cn mail userPassword
    ldapsearch $admin -E pr=2/noprompt -b ou=people,$base -s one '(cn:caseExactMatch:=anna Müller)' 1.1
    ldapsearch $admin -E pr=2/noprompt -z 100 -b ou=people,$base -s one uid
    ldapsearch $admin -z 1 -b $base
    ldapsearch $admin -b ou=nowhere,ou=people,$base
    ldapsearch $admin -M -b ou=elsewhere,$base -s base
    ldapcompare $admin uid=anna,ou=people,$base sn:Müller
    ldapcompare $admin uid=anna,ou=people,$base userPassword:guess
    ldapmodify $admin -c -f "$work/change.ldif"
    ldapwhoami $admin
    ldappasswd $admin -s new-secret uid=dirk,ou=people,$base
    ldappasswd $admin uid=dirk,ou=people,$base
    ldapexop $admin 1.2.3.4
    ldapsearch -x -H $url -D cn=admin,$base -w wrong -b $base
    ldapsearch -x -P 2 -H $url -D cn=admin,$base -w hunter2 -b $base -s base
    ldapsearch -Y DIGEST-MD5 -U anna -w guess -H $url -b $base -s base
    ldapadd -x -H $url -f "$work/people.ldif"
}
upgrade() {
    LDAPTLS_REQCERT=never ldapsearch -ZZ $admin -b $base -s base
}
# Several requests at once, and one that is abandoned.
together() {
    "$python" - "$base" <<'END'
import sys
from ldap3 import Server, Connection, ASYNC, SUBTREE
base = sys.argv[1]
c = Connection(Server("127.0.0.1", 3890, get_info=None), f"cn=admin,{base}", "hunter2", client_strategy=ASYNC)
c.bind()
ids = [c.search(base, f"(uid={who})", SUBTREE, attributes=["cn"]) for who in ("anna", "dirk", "berthold", "nobody")]
ids.append(c.search(base, "(objectClass=*)", attributes=["*"]))
c.abandon(ids[-1])
for i in ids[:-1]:
    c.get_response(i)
c.unbind()
END
}
record operations 'tcp port 3890' operations
record starttls 'tcp port 3890' upgrade
record async 'tcp port 3890' together
cat "$work"/out.*
