#!/bin/sh
# Writes down what tshark finds in these captures, for tests/tls.rs to compare with. Lines of
#   hello   FLOW SNI JA3 SUITES VERSION ALPN GROUPS SIGNATURES
#   answer  FLOW SUITE JA3S VERSION GROUP SERIALS
#   alert   FLOW LEVEL DESCRIPTION
#   http    FLOW METHOD URI STATUS (of HTTP/1 and HTTP/2, decrypted)
set -eu
cd "$(dirname "$0")"
for f in *.pcap; do
    name=${f%.pcap}
    set -- -r "$f" -d tcp.port==5439,pgsql -d udp.port==4445,quic
    for port in 4433 4434 4435 4436 4443; do set -- "$@" -d "tcp.port==$port,tls"; done
    [ ! -e "$name.keys" ] || set -- "$@" -o "tls.keylog_file:$PWD/$name.keys"
    out() {
        kind=$1 filter=$2
        shift 2
        fields=
        for field in "$@"; do fields="$fields -e $field"; done
        # shellcheck disable=SC2086
        eval "tshark $command -Y '$filter' -T fields -E separator=/t -e tcp.stream -e udp.stream $fields" 2>/dev/null |
            sed "s/^/$kind	/"
    }
    command=
    for word in "$@"; do command="$command '$word'"; done
    {
        out hello 'tls.handshake.type == 1' tls.handshake.extensions_server_name tls.handshake.ja3 tls.handshake.ciphersuite \
            tls.handshake.version tls.handshake.extensions_alpn_str tls.handshake.extensions_supported_group \
            tls.handshake.sig_hash_alg
        out answer 'tls.handshake.type == 2' tls.handshake.ciphersuite tls.handshake.ja3s tls.handshake.extensions.supported_version \
            tls.handshake.extensions_key_share_selected_group x509af.serialNumber
        out alert 'tls.alert_message.desc && tls.alert_message.level == 2' tls.alert_message.level tls.alert_message.desc
        out http 'http.request or http.response or http2.headers.method or http2.headers.status' http.request.method http.request.uri \
            http.response.code http2.headers.method http2.headers.path http2.headers.status
    } >"$name.tshark"
done
