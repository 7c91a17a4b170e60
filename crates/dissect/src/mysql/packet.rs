//! Packets, and what is in them: three bytes of length, one of sequence, the payload. Names and
//! numbers are those of MySQL's include/my_command.h and include/mysql_com.h.

use crate::sql::reader::Reader;

/// Bytes in front of a payload.
pub(super) const HEADER: usize = 4;

/// A packet of this length continues in the next one.
pub(super) const MAX_LEN: u32 = 0xff_ffff;

pub(super) const CLIENT_CONNECT_WITH_DB: u64 = 1 << 3;
pub(super) const CLIENT_COMPRESS: u64 = 1 << 5;
pub(super) const CLIENT_PROTOCOL_41: u64 = 1 << 9;
pub(super) const CLIENT_SSL: u64 = 1 << 11;
pub(super) const CLIENT_SECURE_CONNECTION: u64 = 1 << 15;
pub(super) const CLIENT_PLUGIN_AUTH: u64 = 1 << 19;
pub(super) const CLIENT_PLUGIN_AUTH_LENENC: u64 = 1 << 21;
pub(super) const CLIENT_DEPRECATE_EOF: u64 = 1 << 24;
pub(super) const CLIENT_OPTIONAL_RESULTSET_METADATA: u64 = 1 << 25;
pub(super) const CLIENT_ZSTD: u64 = 1 << 26;
pub(super) const CLIENT_QUERY_ATTRIBUTES: u64 = 1 << 27;

pub(super) const SERVER_MORE_RESULTS_EXISTS: u16 = 0x0008;
pub(super) const SERVER_STATUS_CURSOR_EXISTS: u16 = 0x0040;
pub(super) const SERVER_SESSION_STATE_CHANGED: u16 = 0x4000;

pub(super) const COM_QUIT: u8 = 0x01;
pub(super) const COM_INIT_DB: u8 = 0x02;
pub(super) const COM_QUERY: u8 = 0x03;
pub(super) const COM_FIELD_LIST: u8 = 0x04;
pub(super) const COM_STATISTICS: u8 = 0x09;
pub(super) const COM_PROCESS_INFO: u8 = 0x0a;
pub(super) const COM_CHANGE_USER: u8 = 0x11;
pub(super) const COM_BINLOG_DUMP: u8 = 0x12;
pub(super) const COM_STMT_PREPARE: u8 = 0x16;
pub(super) const COM_STMT_EXECUTE: u8 = 0x17;
pub(super) const COM_STMT_SEND_LONG_DATA: u8 = 0x18;
pub(super) const COM_STMT_CLOSE: u8 = 0x19;
pub(super) const COM_STMT_RESET: u8 = 0x1a;
pub(super) const COM_STMT_FETCH: u8 = 0x1c;
pub(super) const COM_BINLOG_DUMP_GTID: u8 = 0x1e;
pub(super) const COM_STMT_BULK_EXECUTE: u8 = 0xfa;

/// The name of a command.
pub(super) const fn command_name(command: u8) -> Option<&'static str> {
    Some(match command {
        COM_QUIT => "COM_QUIT",
        COM_INIT_DB => "COM_INIT_DB",
        COM_QUERY => "COM_QUERY",
        COM_FIELD_LIST => "COM_FIELD_LIST",
        0x05 => "COM_CREATE_DB",
        0x06 => "COM_DROP_DB",
        0x07 => "COM_REFRESH",
        0x08 => "COM_SHUTDOWN",
        COM_STATISTICS => "COM_STATISTICS",
        COM_PROCESS_INFO => "COM_PROCESS_INFO",
        0x0c => "COM_PROCESS_KILL",
        0x0d => "COM_DEBUG",
        0x0e => "COM_PING",
        COM_CHANGE_USER => "COM_CHANGE_USER",
        COM_BINLOG_DUMP => "COM_BINLOG_DUMP",
        0x13 => "COM_TABLE_DUMP",
        0x15 => "COM_REGISTER_SLAVE",
        COM_STMT_PREPARE => "COM_STMT_PREPARE",
        COM_STMT_EXECUTE => "COM_STMT_EXECUTE",
        COM_STMT_SEND_LONG_DATA => "COM_STMT_SEND_LONG_DATA",
        COM_STMT_CLOSE => "COM_STMT_CLOSE",
        COM_STMT_RESET => "COM_STMT_RESET",
        0x1b => "COM_SET_OPTION",
        COM_STMT_FETCH => "COM_STMT_FETCH",
        COM_BINLOG_DUMP_GTID => "COM_BINLOG_DUMP_GTID",
        0x1f => "COM_RESET_CONNECTION",
        0x20 => "COM_CLONE",
        COM_STMT_BULK_EXECUTE => "COM_STMT_BULK_EXECUTE",
        _ => return None,
    })
}

/// True for commands that the server does not answer.
pub(super) const fn is_one_way(command: u8) -> bool {
    matches!(command, COM_QUIT | COM_STMT_CLOSE | COM_STMT_SEND_LONG_DATA)
}

/// Length and sequence number of a packet.
pub(super) fn header(bytes: &[u8; HEADER]) -> (u32, u8) {
    let [a, b, c, seq] = *bytes;
    (u32::from_le_bytes([a, b, c, 0]), seq)
}

/// An integer of variable length. `None` also for the byte that stands for NULL.
pub(super) fn int(r: &mut Reader<'_>) -> Option<u64> {
    Some(match r.u8()? {
        n @ 0..=0xfa => u64::from(n),
        0xfc => u64::from(r.u16_le()?),
        0xfd => {
            let [a, b, c] = r.array()?;
            u64::from(u32::from_le_bytes([a, b, c, 0]))
        }
        0xfe => r.u64_le()?,
        _ => return None,
    })
}

/// A string behind its length.
pub(super) fn string<'a>(r: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = usize::try_from(int(r)?).ok()?;
    r.take(len)
}

/// An ERR packet: code, SQLSTATE where there is one, text.
pub(super) struct Fault<'a> {
    pub(super) code: u16,
    pub(super) state: Option<&'a [u8]>,
    pub(super) text: &'a [u8],
}

impl<'a> Fault<'a> {
    /// Reads it behind its first byte.
    pub(super) fn read(mut r: Reader<'a>) -> Option<Self> {
        let code = r.u16_le()?;
        let (state, text) = match r.0 {
            [b'#', rest @ ..] if rest.len() >= 5 => {
                let (state, text) = rest.split_at(5);
                (Some(state), text)
            }
            text => (None, text),
        };
        Some(Self { code, state, text })
    }
}

/// An OK packet, behind its first byte, whichever that is.
#[derive(Debug)]
pub(super) struct Done<'a> {
    pub(super) affected: u64,
    pub(super) status: u16,
    /// The database that is the default one from now on, if the server says so.
    pub(super) schema: Option<&'a [u8]>,
}

impl<'a> Done<'a> {
    pub(super) fn read(mut r: Reader<'a>) -> Option<Self> {
        let affected = int(&mut r)?;
        int(&mut r)?;
        let status = r.u16_le()?;
        r.u16_le();
        let mut schema = None;
        if status & SERVER_SESSION_STATE_CHANGED != 0 {
            string(&mut r);
            let mut changes = Reader(string(&mut r).unwrap_or_default());
            while let (Some(kind), Some(data)) = (changes.u8(), string(&mut changes)) {
                // SESSION_TRACK_SCHEMA of enum_session_state_type.
                if kind == 1 {
                    schema = string(&mut Reader(data));
                }
            }
        }
        Some(Self { affected, status, schema })
    }
}

/// A column's name, type and whether it is unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ColumnType {
    pub(super) kind: u8,
    pub(super) unsigned: bool,
}

/// A column definition. MariaDB may put another string behind the six, which is never as long as
/// the fixed part that follows.
pub(super) fn column<'a>(mut r: Reader<'a>) -> Option<(&'a [u8], ColumnType)> {
    for _ in 0..4 {
        string(&mut r)?;
    }
    let name = string(&mut r)?;
    string(&mut r)?;
    if r.0.first() != Some(&0x0c) {
        string(&mut r)?;
    }
    int(&mut r).filter(|fixed| *fixed == 0x0c)?;
    r.take(6)?;
    let kind = r.u8()?;
    let unsigned = r.u16_le()? & 0x20 != 0;
    Some((name, ColumnType { kind, unsigned }))
}
