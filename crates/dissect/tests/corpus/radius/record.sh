#!/bin/bash
# Records the captures in this directory from freeradius and its clients, inside a network namespace
# of its own. Needs root, tcpdump, freeradius and freeradius-utils. The times change with each
# recording, so the expectations have to be written anew:
#   sudo ./record.sh && ./oracle.sh && UPDATE_EXPECT=1 cargo test -p remora-dissect --test calls
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ]; then
    exec unshare -n "$0" inside
fi
ip link set lo up
work=$(mktemp -d)
server=
trap 'kill $server 2>/dev/null; rm -rf "$work"' EXIT

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
    cat "$work/out.$name"
}

mkdir "$work/run" "$work/log.d"
cat >"$work/users" <<END
anna Cleartext-Password := "secret-anna"
	Reply-Message = "Hello, %{User-Name}",
	Framed-IP-Address = 192.0.2.17,
	Framed-IPv6-Prefix = 2001:db8:17::/64,
	Session-Timeout = 3600,
	Tunnel-Type:1 = VLAN,
	Tunnel-Medium-Type:1 = IEEE-802,
	Tunnel-Private-Group-Id:1 = "42",
	Tunnel-Password:1 = "tunnel-secret",
	Cisco-AVPair = "shell:priv-lvl=15",
	Class = 0x01ff

bert Cleartext-Password := "secret-bert"
	Reply-Message = "first line",
	Reply-Message += "second line"
END
cat >"$work/radiusd.conf" <<END
prefix = /usr
libdir = /usr/lib/freeradius
run_dir = $work/run
pidfile = $work/run/pid
name = radiusd
max_request_time = 5
security {
    allow_vulnerable_openssl = yes
    status_server = yes
}
client here {
    ipaddr = 127.0.0.1
    secret = testing123
}
modules {
    pap {
    }
    chap {
    }
    mschap {
    }
    eap {
        default_eap_type = md5
        md5 {
        }
    }
    files {
        filename = $work/users
    }
    always reject {
        rcode = reject
    }
    always ok {
        rcode = ok
    }
}
server default {
    listen {
        type = auth
        ipaddr = 127.0.0.1
        port = 1812
    }
    listen {
        type = acct
        ipaddr = 127.0.0.1
        port = 1813
    }
    listen {
        type = coa
        ipaddr = 127.0.0.1
        port = 3799
        virtual_server = coa
    }
    authorize {
        chap
        mschap
        eap
        files
        pap
    }
    authenticate {
        Auth-Type PAP {
            pap
        }
        Auth-Type CHAP {
            chap
        }
        Auth-Type MS-CHAP {
            mschap
        }
        eap
    }
    accounting {
        ok
    }
}
server coa {
    recv-coa {
        if (&User-Name != "anna") {
            update reply {
                &Error-Cause := Unsupported-Attribute
            }
            reject
        }
        ok
    }
    send-coa {
        ok
    }
}
END
freeradius -f -l stdout -d "$work" -D /usr/share/freeradius -n radiusd >"$work/server" 2>&1 &
server=$!
for _ in $(seq 100); do
    grep -q 'Ready to process' "$work/server" && break
    sleep 0.1
done
grep -q 'Ready to process' "$work/server" || { cat "$work/server"; exit 1; }

client() {
    radclient -x -D /usr/share/freeradius -r 2 -t 1 "$@"
}
access() {
    radtest -t pap anna secret-anna 127.0.0.1 7 testing123
    radtest -t pap anna wrong 127.0.0.1 7 testing123
    radtest -t chap bert secret-bert 127.0.0.1 8 testing123
    radtest -t mschap bert secret-bert 127.0.0.1 9 testing123
    radtest -t mschap bert wrong 127.0.0.1 9 testing123
    radtest -t eap-md5 anna secret-anna 127.0.0.1 10 testing123
    client 127.0.0.1:1812 status testing123 <<END
Message-Authenticator = 0x00
END
}
accounting() {
    for status in Start Interim-Update Stop; do
        client 127.0.0.1:1813 acct testing123 <<END
User-Name = "anna"
Acct-Status-Type = $status
Acct-Session-Id = "5f3a-$status"
NAS-IP-Address = 192.0.2.1
NAS-IPv6-Address = 2001:db8::1
NAS-Identifier = "gate-1"
NAS-Port-Type = Wireless-802.11
NAS-Port = 17
Service-Type = Framed-User
Called-Station-Id = "00-11-22-33-44-55:guests"
Calling-Station-Id = "66-77-88-99-aa-bb"
Framed-IP-Address = 192.0.2.17
Acct-Input-Octets = 1234
Acct-Session-Time = 60
Acct-Terminate-Cause = User-Request
Event-Timestamp = "Nov 21 2026 12:00:00 UTC"
3GPP-IMSI = "262011234567890"
WISPr-Location-Name = "lobby"
END
    done
}
changes() {
    client 127.0.0.1:3799 coa testing123 <<END
User-Name = "anna"
Session-Timeout = 60
END
    client 127.0.0.1:3799 coa testing123 <<END
User-Name = "bert"
Session-Timeout = 60
END
    client 127.0.0.1:3799 disconnect testing123 <<END
User-Name = "bert"
Acct-Session-Id = "5f3a"
END
}
# Nobody listens there: the request is repeated. Four at once, then, over one socket.
repeated() {
    client 127.0.0.1:1899 auth testing123 <<END
User-Name = "cora"
User-Password = "secret-cora"
END
    for who in anna bert cora dirk; do
        printf 'User-Name = "%s"\nUser-Password = "secret-%s"\nNAS-IP-Address = 192.0.2.1\n\n' $who $who
    done | client -p 4 127.0.0.1:1812 auth testing123
}
record access 'udp port 1812' access
record accounting 'udp port 1813' accounting
record changes 'udp port 3799' changes
record repeated 'udp port 1812 or udp port 1899' repeated
