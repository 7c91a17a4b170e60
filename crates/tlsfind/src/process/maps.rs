//! `/proc/PID/maps`: which files a process has mapped to execute (`proc_pid_maps(5)`).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// A file with code in a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Where its first executable mapping lies in the memory of the process.
    pub start: u64,
    /// The end of that mapping.
    pub end: u64,
    /// The offset in the file that is mapped there.
    pub offset: u64,
    /// Device number as the kernel prints it, major and minor. File systems in layers (overlay, btrfs)
    /// print another one here than `stat` does.
    pub device: (u32, u32),
    /// Inode number.
    pub inode: u64,
    /// The path as the process sees it.
    pub path: PathBuf,
    /// Whether the path leads to this file no more.
    pub deleted: bool,
}

/// The files with executable mappings, each once, at most `most`; and whether there were more.
#[must_use]
pub fn executable(maps: &[u8], most: usize) -> (Vec<Mapping>, bool) {
    let mut found: Vec<Mapping> = Vec::new();
    for line in maps.split(|b| *b == b'\n') {
        let Some(mapping) = parse(line) else { continue };
        let known = |m: &Mapping| m.device == mapping.device && m.inode == mapping.inode;
        if found.iter().any(known) {
            continue;
        }
        if found.len() >= most {
            return (found, true);
        }
        found.push(mapping);
    }
    (found, false)
}

/// A line of a file that is mapped to execute.
fn parse(line: &[u8]) -> Option<Mapping> {
    // start-end perms offset major:minor inode      path
    let mut fields = line.splitn(6, |b| *b == b' ');
    let mut next = || fields.next();
    let (range, permissions, offset, device, inode) = (next()?, next()?, next()?, next()?, next()?);
    let path = next()?.trim_ascii_start();
    if permissions.get(2) != Some(&b'x') || path.first() != Some(&b'/') {
        return None;
    }
    let (start, end) = split(range, b'-')?;
    let (major, minor) = split(device, b':')?;
    let inode = std::str::from_utf8(inode).ok()?.parse().ok()?;
    let path = unescape(path);
    let (path, deleted) = match path.strip_suffix(b" (deleted)") {
        Some(path) => (path.to_vec(), true),
        None => (path, false),
    };
    Some(Mapping {
        start: hex(start)?,
        end: hex(end)?,
        offset: hex(offset)?,
        device: (hex(major)?.try_into().ok()?, hex(minor)?.try_into().ok()?),
        inode,
        path: PathBuf::from(OsString::from_vec(path)),
        deleted,
    })
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let i = bytes.iter().position(|b| *b == at)?;
    Some((&bytes[..i], &bytes[i + 1..]))
}

fn hex(bytes: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(bytes).ok()?, 16).ok()
}

/// The kernel writes a line break in a path as `\012`.
fn unescape(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = memchr::memmem::find(rest, b"\\012") {
        plain.extend(&rest[..at]);
        plain.push(b'\n');
        rest = &rest[at + 4..];
    }
    plain.extend(rest);
    plain
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::executable;

    const MAPS: &[u8] = b"\
555555554000-555555556000 r--p 00000000 fe:00 42                         /usr/sbin/nginx
555555556000-555555600000 r-xp 00002000 fe:00 42                         /usr/sbin/nginx
7ffff7000000-7ffff7010000 r-xp 00001000 00:2d 99                         /lib/with space.so (deleted)
7ffff7010000-7ffff7020000 r-xp 00000000 00:00 0\x20
7ffff7020000-7ffff7030000 r-xp 00000000 00:2d 99                         /lib/with space.so (deleted)
7ffff7ffd000-7ffff7fff000 r-xp 00000000 00:00 0                          [vdso]
7ffff8000000-7ffff8001000 r-xp 00000000 fe:00 7                          /odd\\012name
rubbish
";

    #[test]
    fn each_file_with_code_is_given_once() {
        let (found, more) = executable(MAPS, 10);
        assert!(!more);
        let paths: Vec<_> = found.iter().map(|m| (m.path.as_path(), m.deleted)).collect();
        let expected = [("/usr/sbin/nginx", false), ("/lib/with space.so", true), ("/odd\nname", false)];
        assert_eq!(paths, expected.map(|(path, deleted)| (Path::new(path), deleted)));
        let nginx = &found[0];
        assert_eq!((nginx.start, nginx.offset, nginx.device), (0x5555_5555_6000, 0x2000, (0xfe, 0)));
        assert!(executable(MAPS, 1).1);
    }
}
