//! TLS libraries by their symbols, whatever the file is called and wherever the code was linked in.

use std::collections::BTreeMap;

use crate::code;
use crate::elf::Elf;
use crate::elf::frames::Frames;
use crate::elf::symbols::{self, Symbol, Table, Wanted};
use crate::found::{Found, Function, Kind, TlsCode};
use crate::problem::{Part, Problem};
use crate::reader::Source;
use crate::strings::Strings;

/// Symbols that only one of the relatives of OpenSSL has.
const MARKS: &[(&str, Kind)] = &[
    ("SSL_CTX_set_custom_verify", Kind::BoringSsl),
    ("SSL_CTX_set_grease_enabled", Kind::BoringSsl),
    ("BORINGSSL_self_test", Kind::BoringSsl),
    ("awslc_version_string", Kind::AwsLc),
    ("awslc_api_version_num", Kind::AwsLc),
    ("SSL_CTX_use_certificate_chain_mem", Kind::LibreSsl),
    ("tls_config_new", Kind::LibreSsl),
];

/// Where the numbers of marks and of BoringSSL's logging function begin.
const MARK: u32 = 1 << 16;

/// Copies of one function.
const COPIES: usize = 16;

/// What the symbol tables say.
#[derive(Default)]
pub(crate) struct Symbols {
    functions: BTreeMap<Function, Vec<Symbol>>,
    marks: Vec<Kind>,
    /// Functions that only `.symtab` shows.
    only_full: Vec<Function>,
}

impl Symbols {
    /// Adds what one of the tables says; the dynamic one comes first.
    pub(crate) fn read(&mut self, elf: &Elf, source: &mut Source<'_>, table: Table) -> Part<()> {
        // The names of Go are looked up by `go`, which knows what else it needs.
        let named = Function::ALL.iter().enumerate().filter(|(_, f)| f.kind() != Kind::GoTls);
        let functions = named.map(|(i, f)| (f.symbol().as_bytes(), i as u32));
        let marks = MARKS.iter().enumerate().map(|(i, (name, _))| (name.as_bytes(), MARK + i as u32));
        let judge = |name: &[u8]| mangled(name).and_then(number);
        let words: [&[u8]; 2] = [b"rustls", b"ssl_log_secret"];
        let wanted = Wanted::new(functions.chain(marks)).or_with(&words, &judge);
        for (number, symbol) in symbols::find(elf, source, table, &wanted)? {
            if let Some((_, kind)) = number.checked_sub(MARK).and_then(|i| MARKS.get(i as usize)) {
                self.marks.push(*kind);
            } else if let Some(function) = Function::ALL.get(number as usize) {
                let known = self.functions.entry(*function).or_default();
                if known.is_empty() && table == Table::Full {
                    self.only_full.push(*function);
                }
                // What is exported is there once; copies have names that nobody else sees.
                let is_copy = function.kind() == Kind::Rustls && known.len() < COPIES;
                if known.is_empty() || is_copy && known.iter().all(|s| s.address != symbol.address) {
                    known.push(symbol);
                }
            }
        }
        Ok(())
    }

    fn has(&self, function: Function) -> bool {
        self.functions.contains_key(&function)
    }
}

fn number(function: Function) -> Option<u32> {
    Function::ALL.iter().position(|f| *f == function).and_then(|i| u32::try_from(i).ok())
}

/// The function behind a mangled name: of BoringSSL (C++), or of rustls (legacy: `_ZN`, v0: `_R`).
fn mangled(name: &[u8]) -> Option<Function> {
    let name = std::str::from_utf8(name).ok()?;
    if name.starts_with("_ZN4bssl14ssl_log_secretE") {
        return Some(Function::SslLogSecret);
    }
    let has = |parts: &[&str]| parts.iter().all(|part| name.contains(part));
    let legacy = name.starts_with("_ZN");
    if !legacy && !name.starts_with("_R") {
        return None;
    }
    // Parts of the legacy name, the one before the hash last, and parts of the v0 name, the last part
    // at its end.
    const NAMES: &[(&[&str], &[&str], Function)] = &[
        (
            &["$LT$rustls..", "..Reader$u20$as$u20$std..io..Read$GT$4read17h"],
            &["6rustls", "6Reader", "2io4Read4read"],
            Function::RustlsReaderRead,
        ),
        (
            &["6rustls4conn", "6Reader16into_first_chunk17h"],
            &["6rustls", "6Reader", "16into_first_chunk"],
            Function::RustlsReaderIntoFirstChunk,
        ),
        (
            &["6rustls", "11CommonState23take_received_plaintext17h"],
            &["6rustls", "11CommonState", "23take_received_plaintext"],
            Function::RustlsTakeReceivedPlaintext,
        ),
        (
            &["$LT$rustls..", "..Writer$u20$as$u20$std..io..Write$GT$5write17h"],
            &["6rustls", "6Writer", "2io5Write5write"],
            Function::RustlsWriterWrite,
        ),
        (
            &["$LT$rustls..", "..Writer$u20$as$u20$std..io..Write$GT$14write_vectored17h"],
            &["6rustls", "6Writer", "2io5Write14write_vectored"],
            Function::RustlsWriterWriteVectored,
        ),
        (
            &["$LT$rustls..", "ConnectionCommon", "..PlaintextSink$GT$5write17h"],
            &["6rustls", "ConnectionCommon", "13PlaintextSink5write"],
            Function::RustlsSinkWrite,
        ),
        (
            &["$LT$rustls..", "ConnectionCommon", "..PlaintextSink$GT$14write_vectored17h"],
            &["6rustls", "ConnectionCommon", "13PlaintextSink14write_vectored"],
            Function::RustlsSinkWriteVectored,
        ),
        (
            &["6rustls", "11CommonState22start_outgoing_traffic17h"],
            &["6rustls", "11CommonState", "22start_outgoing_traffic"],
            Function::RustlsStartOutgoingTraffic,
        ),
        (
            &["6rustls", "11CommonState16buffer_plaintext17h"],
            &["6rustls", "11CommonState", "16buffer_plaintext"],
            Function::RustlsBufferPlaintext,
        ),
        (
            &["6rustls", "11RecordLayer16decrypt_incoming17h"],
            &["6rustls", "11RecordLayer", "16decrypt_incoming"],
            Function::RustlsDecryptIncoming,
        ),
        (
            &["6rustls", "11RecordLayer16encrypt_outgoing17h"],
            &["6rustls", "11RecordLayer", "16encrypt_outgoing"],
            Function::RustlsEncryptOutgoing,
        ),
    ];
    let found = NAMES.iter().find(|(old, new, _)| match legacy {
        true => has(old),
        false => has(new) && new.last().is_some_and(|last| name.ends_with(last)),
    });
    found.map(|(_, _, function)| *function)
}

/// The code of every library that the symbols show.
pub(crate) fn codes(
    elf: &Elf,
    source: &mut Source<'_>,
    symbols: &Symbols,
    strings: &Strings,
    problems: &mut Vec<Problem>,
) -> Part<Vec<TlsCode>> {
    let mut codes: Vec<TlsCode> = Vec::new();
    if symbols.functions.is_empty() {
        return Ok(codes);
    }
    let mut frames = Frames::open(elf, source)?;
    let only = [Function::SslReadEarlyData, Function::SslWriteEarlyData, Function::SslSendfile];
    let is_full = only.iter().any(|f| symbols.has(*f));
    let all = symbols.functions.iter().flat_map(|(f, known)| known.iter().map(move |symbol| (f, symbol)));
    for (function, symbol) in all {
        let kind = relative(function.kind(), is_full, &symbols.marks, strings);
        let end = match symbol.size {
            0 => {
                let frame = match &mut frames {
                    Some(frames) => frames.function_of(elf, source, symbol.address)?,
                    None => None,
                };
                frame.filter(|(start, _)| *start == symbol.address).map_or(symbol.address, |(_, end)| end)
            }
            size => symbol.address.saturating_add(size),
        };
        let (point, problem) = code::point(elf, source, frames.as_mut(), *function, symbol.address..end)?;
        problems.extend(problem);
        let Some(point) = point else { continue };
        let code = match codes.iter_mut().position(|c| c.kind == kind) {
            Some(i) => &mut codes[i],
            None => {
                codes.push(TlsCode {
                    kind,
                    version: strings.version(kind),
                    found: Found::DynamicSymbols,
                    confidence: 100,
                    points: Vec::new(),
                    go: None,
                    client_random: None,
                });
                let last = codes.len() - 1;
                &mut codes[last]
            }
        };
        if symbols.only_full.contains(function) {
            code.found = Found::Symbols;
        }
        if code.points.len() < source.limits.points {
            code.points.push(point);
        } else {
            problems.push(Problem::Limit("points"));
        }
    }
    Ok(codes)
}

/// Which of the libraries with OpenSSL's names it is.
fn relative(kind: Kind, is_full: bool, marks: &[Kind], strings: &Strings) -> Kind {
    if kind != Kind::OpenSsl {
        return kind;
    }
    let of_libressl = marks.contains(&Kind::LibreSsl) || strings.version(Kind::LibreSsl).is_some();
    // What BoringSSL and AWS-LC never had. (Beside it a program may have the cryptography of AWS-LC.)
    if is_full {
        return if of_libressl { Kind::LibreSsl } else { Kind::OpenSsl };
    }
    // AWS-LC has the marks of BoringSSL too.
    if marks.contains(&Kind::AwsLc) || strings.version(Kind::AwsLc).is_some() {
        Kind::AwsLc
    } else if marks.contains(&Kind::BoringSsl) {
        Kind::BoringSsl
    } else if of_libressl {
        Kind::LibreSsl
    } else {
        Kind::OpenSsl
    }
}

#[cfg(test)]
mod tests {
    use super::mangled;
    use crate::found::Function;

    #[test]
    fn mangled_names_of_rustls_are_known() {
        let of = |name: &str| mangled(name.as_bytes());
        let read = "_ZN76_$LT$rustls..conn..connection..Reader$u20$as$u20$std..io..Read$GT$4read17h0123456789abcdefE";
        assert_eq!(of(read), Some(Function::RustlsReaderRead));
        let vectored = read.replace("4read17h", "13read_vectored17h");
        assert_eq!(of(&vectored), None);
        let sink = "_ZN99_$LT$rustls..conn..ConnectionCommon$LT$T$GT$$u20$as$u20$rustls..conn..connection..\
                    PlaintextSink$GT$5write17h5ff7a5bc08332b9dE";
        assert_eq!(of(sink), Some(Function::RustlsSinkWrite));
        let early =
            "_ZN6rustls6server11server_conn14EarlyDataState23take_received_plaintext17h0123456789abcdefE";
        assert_eq!(of(early), None);
        let v0 = "_RNvXs_NtNtCs1234_6rustls4conn10connectionNtB4_6ReaderNtNtCs9_3std2io4Read4read";
        assert_eq!(of(v0), Some(Function::RustlsReaderRead));
        assert_eq!(
            of("_ZN6rustls12common_state11CommonState16buffer_plaintext17h0123456789abcdefE"),
            Some(Function::RustlsBufferPlaintext)
        );
        let open = "_ZN6rustls12record_layer11RecordLayer16decrypt_incoming17h9c319b6a5f113b77E";
        assert_eq!(of(open), Some(Function::RustlsDecryptIncoming));
        let seal = "_RNvMNtCs1234_6rustls12record_layerNtB2_11RecordLayer16encrypt_outgoing";
        assert_eq!(of(seal), Some(Function::RustlsEncryptOutgoing));
        assert_eq!(of("rustls_connection_read"), None);
        let secret = of("_ZN4bssl14ssl_log_secretEPK6ssl_stPKcNS_4SpanIKhEE");
        assert_eq!(secret, Some(Function::SslLogSecret));
    }
}
