//! Numbers with names: record types, operation codes, response codes.

use std::io::Write as _;

macro_rules! record_types {
    ($($name:ident = $number:literal $text:literal,)*) => {
        $(#[allow(dead_code)] pub(super) const $name: u16 = $number;)*

        /// Mnemonic of a record type (IANA "Resource Record (RR) TYPEs"), as dig prints it.
        pub(super) const fn type_name(ty: u16) -> Option<&'static str> {
            match ty {
                $($number => Some($text),)*
                _ => None,
            }
        }
    };
}

record_types! {
    A = 1 "A", NS = 2 "NS", MD = 3 "MD", MF = 4 "MF", CNAME = 5 "CNAME", SOA = 6 "SOA", MB = 7 "MB",
    MG = 8 "MG", MR = 9 "MR", NULL = 10 "NULL", WKS = 11 "WKS", PTR = 12 "PTR", HINFO = 13 "HINFO",
    MINFO = 14 "MINFO", MX = 15 "MX", TXT = 16 "TXT", RP = 17 "RP", AFSDB = 18 "AFSDB", X25 = 19 "X25",
    ISDN = 20 "ISDN", RT = 21 "RT", NSAP = 22 "NSAP", NSAP_PTR = 23 "NSAP-PTR", SIG = 24 "SIG",
    KEY = 25 "KEY", PX = 26 "PX", GPOS = 27 "GPOS", AAAA = 28 "AAAA", LOC = 29 "LOC", NXT = 30 "NXT",
    EID = 31 "EID", NIMLOC = 32 "NIMLOC", SRV = 33 "SRV", ATMA = 34 "ATMA", NAPTR = 35 "NAPTR",
    KX = 36 "KX", CERT = 37 "CERT", A6 = 38 "A6", DNAME = 39 "DNAME", SINK = 40 "SINK", OPT = 41 "OPT",
    APL = 42 "APL", DS = 43 "DS", SSHFP = 44 "SSHFP", IPSECKEY = 45 "IPSECKEY", RRSIG = 46 "RRSIG",
    NSEC = 47 "NSEC", DNSKEY = 48 "DNSKEY", DHCID = 49 "DHCID", NSEC3 = 50 "NSEC3",
    NSEC3PARAM = 51 "NSEC3PARAM", TLSA = 52 "TLSA", SMIMEA = 53 "SMIMEA", HIP = 55 "HIP",
    NINFO = 56 "NINFO", RKEY = 57 "RKEY", TALINK = 58 "TALINK", CDS = 59 "CDS", CDNSKEY = 60 "CDNSKEY",
    OPENPGPKEY = 61 "OPENPGPKEY", CSYNC = 62 "CSYNC", ZONEMD = 63 "ZONEMD", SVCB = 64 "SVCB",
    HTTPS = 65 "HTTPS", DSYNC = 66 "DSYNC", SPF = 99 "SPF", UINFO = 100 "UINFO", UID = 101 "UID",
    GID = 102 "GID", UNSPEC = 103 "UNSPEC", NID = 104 "NID", L32 = 105 "L32", L64 = 106 "L64",
    LP = 107 "LP", EUI48 = 108 "EUI48", EUI64 = 109 "EUI64", TKEY = 249 "TKEY", TSIG = 250 "TSIG",
    IXFR = 251 "IXFR", AXFR = 252 "AXFR", MAILB = 253 "MAILB", MAILA = 254 "MAILA", ANY = 255 "ANY",
    URI = 256 "URI", CAA = 257 "CAA", AVC = 258 "AVC", DOA = 259 "DOA", AMTRELAY = 260 "AMTRELAY",
    RESINFO = 261 "RESINFO", WALLET = 262 "WALLET", TA = 32768 "TA", DLV = 32769 "DLV",
}

/// Appends a record type: its mnemonic, or `TYPEnnn` (RFC 3597, section 5).
pub(super) fn write_type(ty: u16, out: &mut Vec<u8>) {
    match type_name(ty) {
        Some(name) => out.extend(name.as_bytes()),
        None => drop(write!(out, "TYPE{ty}")),
    }
}

/// Operation codes that messages are exchanged in (IANA "DNS OpCodes").
pub(super) mod opcode {
    pub(crate) const QUERY: u8 = 0;
    pub(crate) const IQUERY: u8 = 1;
    pub(crate) const STATUS: u8 = 2;
    pub(crate) const NOTIFY: u8 = 4;
    pub(crate) const UPDATE: u8 = 5;
    pub(crate) const DSO: u8 = 6;
}

/// Name of an operation code; `OPCODEnn` where it has none, as dig prints it. `code` has 4 bits.
pub(super) const fn opcode_name(code: u8) -> &'static str {
    match code & 15 {
        opcode::QUERY => "QUERY",
        opcode::IQUERY => "IQUERY",
        opcode::STATUS => "STATUS",
        3 => "OPCODE3",
        opcode::NOTIFY => "NOTIFY",
        opcode::UPDATE => "UPDATE",
        opcode::DSO => "DSO",
        7 => "OPCODE7",
        8 => "OPCODE8",
        9 => "OPCODE9",
        10 => "OPCODE10",
        11 => "OPCODE11",
        12 => "OPCODE12",
        13 => "OPCODE13",
        14 => "OPCODE14",
        _ => "OPCODE15",
    }
}

/// Appends the name of a response code (IANA "DNS RCODEs"; 16 is BADVERS in a response with
/// EDNS), or `RCODEnnn`.
pub(super) fn write_rcode(code: u16, out: &mut Vec<u8>) {
    let name = match code {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        6 => "YXDOMAIN",
        7 => "YXRRSET",
        8 => "NXRRSET",
        9 => "NOTAUTH",
        10 => "NOTZONE",
        11 => "DSOTYPENI",
        16 => "BADVERS",
        17 => "BADKEY",
        18 => "BADTIME",
        19 => "BADMODE",
        20 => "BADNAME",
        21 => "BADALG",
        22 => "BADTRUNC",
        23 => "BADCOOKIE",
        _ => return drop(write!(out, "RCODE{code}")),
    };
    out.extend(name.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_numbers_have_generic_names() {
        let mut out = Vec::new();
        write_type(HTTPS, &mut out);
        out.push(b' ');
        write_type(65_280, &mut out);
        out.push(b' ');
        write_rcode(3, &mut out);
        out.push(b' ');
        write_rcode(12, &mut out);
        assert_eq!(out, b"HTTPS TYPE65280 NXDOMAIN RCODE12");
        assert_eq!(opcode_name(4), "NOTIFY");
        assert_eq!(opcode_name(0x1f), "OPCODE15");
    }
}
