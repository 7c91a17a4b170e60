//! Where processes have a file in their memory, from `/proc/PID/maps`.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::Range;

use super::processes::{FileKey, MAPS_BYTES};

/// A part of a file in the memory of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) key: FileKey,
    pub(super) at: Range<u64>,
    /// Which part: where it begins in the file.
    pub(super) offset: u64,
    pub(super) is_code: bool,
}

/// The files in the memory of process `pid`; none when it is gone.
pub(super) fn mappings(pid: u32) -> Vec<Mapping> {
    let Ok(maps) = File::open(format!("/proc/{pid}/maps")) else { return Vec::new() };
    let lines = BufReader::new(maps.take(MAPS_BYTES)).split(b'\n').map_while(Result::ok);
    lines.filter_map(|line| parse(&String::from_utf8_lossy(&line))).collect()
}

/// A line of `/proc/PID/maps` (proc_pid_maps(5)).
fn parse(line: &str) -> Option<Mapping> {
    let mut words = line.splitn(6, ' ');
    let (range, rights, offset, device, inode) =
        (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    let number = |text| u64::from_str_radix(text, 16).ok();
    let (from, to) = range.split_once('-')?;
    let (major, minor) = device.split_once(':')?;
    let inode = inode.parse().ok().filter(|inode| *inode != 0)?;
    Some(Mapping {
        key: FileKey { device: number(major)? << 32 | number(minor)?, inode },
        at: number(from)?..number(to)?,
        offset: number(offset)?,
        is_code: rights.as_bytes().get(2) == Some(&b'x'),
    })
}

/// The addresses between the first and the last part of a file.
pub(super) fn extent(mappings: &[Mapping], key: FileKey) -> Option<Range<u64>> {
    let of_it = || mappings.iter().filter(|m| m.key == key);
    Some(of_it().map(|m| m.at.start).min()?..of_it().map(|m| m.at.end).max()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps() {
        let line = "7f0000001000-7f0000002000 r-xp 00003000 fe:01 1234     /usr/lib/x.so";
        let code = parse(line).unwrap();
        let key = FileKey { device: 0xfe << 32 | 1, inode: 1234 };
        let wanted = Mapping { key, at: 0x7f00_0000_1000..0x7f00_0000_2000, offset: 0x3000, is_code: true };
        assert_eq!(code, wanted);
        let data = parse("7f0000005000-7f0000006000 rw-p 00004000 fe:01 1234 /usr/lib/x.so").unwrap();
        assert!(!data.is_code);
        assert_eq!(extent(&[code, data], key), Some(0x7f00_0000_1000..0x7f00_0000_6000));
        assert_eq!(extent(&[], key), None);
        assert_eq!(parse("7f0000005000-7f0000006000 rw-p 00000000 00:00 0 "), None);
        assert_eq!(parse("nonsense"), None);
        assert!(!mappings(std::process::id()).is_empty());
    }
}
