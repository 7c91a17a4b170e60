//! Which program of the kernel's side belongs to which function of a library.

use remora_tlsfind::Function;

use crate::kernel::ProbeProgram as P;

/// What is attached at a function's entry and at its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Programs {
    pub(super) entry: P,
    pub(super) end: Option<P>,
}

/// The programs for a function; `None`: it is not probed. Functions that call a probed one for their
/// work are left out, so that nothing is told twice: early data of OpenSSL goes through `SSL_read_ex`
/// and `SSL_write_ex`.
pub(super) fn programs(function: Function) -> Option<Programs> {
    use Function as F;
    let both = |entry, end| Some(Programs { entry, end: Some(end) });
    let entry = |entry| Some(Programs { entry, end: None });
    match function {
        F::SslRead | F::MbedtlsSslRead | F::WolfSslRead => both(P::Read, P::ReadInt),
        F::SslWrite | F::MbedtlsSslWrite | F::WolfSslWrite | F::WolfSslSend | F::NssSecureSend => {
            both(P::Write, P::WriteInt)
        }
        F::SslReadEx | F::WolfSslReadEx => both(P::ReadEx, P::ReadExEnd),
        F::SslWriteEx | F::WolfSslWriteEx => both(P::WriteEx, P::WriteExEnd),
        F::SslWriteEx2 => both(P::WriteEx2, P::WriteExEnd),
        F::WolfSslRecv | F::NssSecureRecv => both(P::Recv, P::ReadInt),
        F::SslSendfile => both(P::File, P::FileEnd),
        F::GnutlsRecordRecv | F::GnutlsRecordRecvSeq | F::GnutlsRecordRecvEarlyData | F::S2nRecv => {
            both(P::Read, P::ReadLong)
        }
        F::GnutlsRecordSend | F::GnutlsRecordSend2 | F::GnutlsRecordSendEarlyData | F::S2nSend => {
            both(P::Write, P::WriteLong)
        }
        F::SslSetFd
        | F::SslSetRfd
        | F::GnutlsTransportSetInt2
        | F::WolfSslSetFd
        | F::WolfSslSetReadFd
        | F::S2nSetFd
        | F::S2nSetReadFd => entry(P::SetFd),
        F::SslDoHandshake
        | F::SslAccept
        | F::SslConnect
        | F::GnutlsHandshake
        | F::MbedtlsSslHandshake
        | F::WolfSslNegotiate
        | F::WolfSslAccept
        | F::WolfSslConnect
        | F::S2nNegotiate => entry(P::Handshake),
        F::SslFree
        | F::NssSecureClose
        | F::GnutlsDeinit
        | F::MbedtlsSslFree
        | F::WolfSslFree
        | F::S2nConnectionFree => entry(P::Free),
        F::GoConnRead => both(P::GoRead, P::GoReadEnd),
        F::GoConnWrite => both(P::GoWrite, P::GoWriteEnd),
        F::GoConnHandshake => entry(P::GoHandshake),
        F::GoConnClose => entry(P::GoClose),
        F::RustlsTakeReceivedPlaintext => entry(P::RustTake),
        F::RustlsBufferPlaintext => both(P::RustBuffer, P::RustBufferEnd),
        F::RustlsDecryptIncoming => both(P::RustOpen, P::RustOpenEnd),
        F::RustlsEncryptOutgoing => entry(P::RustSeal),
        F::RustlsStartOutgoingTraffic => entry(P::TrialBegin),
        F::SslLogSecret | F::GnutlsKeylog => entry(P::Secret),
        F::GoWriteKeyLog => entry(P::GoSecret),
        _ => None,
    }
}

/// Whether a function of rustls is one of those by which a program is read. Where `take_received_plaintext`
/// was inlined, records are read where they are decrypted: then a connection is known by its record
/// layer, which is part of what the other functions are given.
pub(super) fn is_used(function: Function, takes: bool) -> bool {
    use Function as F;
    match function {
        F::RustlsTakeReceivedPlaintext | F::RustlsStartOutgoingTraffic => takes,
        F::RustlsDecryptIncoming | F::RustlsEncryptOutgoing => !takes,
        _ => true,
    }
}

/// The programs for a function that was found by a guess.
pub(super) fn trial_programs(function: Function) -> Option<Programs> {
    use Function as F;
    match function {
        F::SslRead => Some(Programs { entry: P::TrialRead, end: Some(P::TrialEnd) }),
        F::SslWrite => Some(Programs { entry: P::TrialWrite, end: Some(P::TrialEnd) }),
        F::SslDoHandshake => Some(Programs { entry: P::TrialBegin, end: None }),
        F::SslSetFd => Some(Programs { entry: P::SetFd, end: None }),
        _ => None,
    }
}
