//! What processes run: the files that they have mapped to execute, from `/proc`.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

/// Bytes of `/proc/PID/maps` that are read at most: some 80 000 lines.
pub(super) const MAPS_BYTES: u64 = 8 << 20;
/// Most files of one process that are looked at.
const MAX_FILES: usize = 1_024;

/// A file, as the kernel's list of mappings names it: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FileKey {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// A file that a process executes code of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) key: FileKey,
    /// Its path as the process sees it.
    pub(super) path: String,
    /// Ways to the file, which also lead into other mount namespaces and to deleted files.
    pub(super) ways: [PathBuf; 2],
}

/// The files that process `pid` executes code of.
pub(super) fn mapped(pid: u32) -> std::io::Result<Vec<Mapped>> {
    let maps = fs::File::open(format!("/proc/{pid}/maps"))?;
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for line in BufReader::new(maps.take(MAPS_BYTES)).split(b'\n') {
        let Ok(line) = line else { break };
        let Some(file) = parse(pid, &String::from_utf8_lossy(&line)) else { continue };
        if seen.insert(file.key) {
            out.push(file);
            if out.len() >= MAX_FILES {
                break;
            }
        }
    }
    Ok(out)
}

/// The program that process `pid` runs.
pub(super) fn executable(pid: u32) -> Option<FileKey> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let path = path.to_str()?;
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    mapped(pid).ok()?.into_iter().find(|file| file.path == path).map(|file| file.key)
}

/// A line of `/proc/PID/maps` (proc_pid_maps(5)), where it is of an executable mapping of a file:
/// `7f..-7f.. r-xp 00001000 fe:00 1234   /usr/lib/libssl.so.3`.
fn parse(pid: u32, line: &str) -> Option<Mapped> {
    let mut words = line.splitn(6, ' ');
    let (range, rights, _, device, inode) =
        (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    let path = words.next()?.trim_start();
    if rights.as_bytes().get(2) != Some(&b'x') || !path.starts_with('/') {
        return None;
    }
    let (major, minor) = device.split_once(':')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    let inode = inode.parse().ok().filter(|inode| *inode != 0)?;
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    Some(Mapped {
        key: FileKey { device: number(major)? << 32 | number(minor)?, inode },
        path: path.to_owned(),
        ways: [
            PathBuf::from(format!("/proc/{pid}/map_files/{}", trimmed(range)?)),
            Path::new(&format!("/proc/{pid}/root")).join(path.trim_start_matches('/')),
        ],
    })
}

/// Names in `map_files` have no leading zeros.
fn trimmed(range: &str) -> Option<String> {
    let (from, to) = range.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some(format!("{:x}-{:x}", number(from)?, number(to)?))
}

/// Names a run of a process: its id may be given to another one later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Started(u64);

/// When the process began, in ticks since the system did (field 22 of `/proc/PID/stat`). `None`: it
/// is gone, or one of the kernel's own threads.
pub(super) fn started(pid: u32) -> Option<Started> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, brackets included.
    let after = stat.rsplit_once(')')?.1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    // Memory of the process in bytes: the kernel's threads have none.
    (*fields.get(20)? != "0").then_some(())?;
    fields.get(19)?.parse().ok().map(Started)
}

/// Its name.
pub(super) fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).map(|s| s.trim_end().to_owned()).unwrap_or_default()
}

/// The processes that there are.
pub(super) fn all() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps() {
        let of = |line: &str| parse(7, line);
        let line =
            "7f0000001000-7f0000002000 r-xp 00001000 fe:01 1234                       /usr/lib/lib ssl.so.3";
        let file = of(line).unwrap();
        assert_eq!(file.key, FileKey { device: 0xfe << 32 | 1, inode: 1234 });
        assert_eq!(file.path, "/usr/lib/lib ssl.so.3");
        assert_eq!(file.ways[0], Path::new("/proc/7/map_files/7f0000001000-7f0000002000"));
        assert_eq!(file.ways[1], Path::new("/proc/7/root").join("usr/lib/lib ssl.so.3"));
        assert_eq!(of(&format!("{line} (deleted)")).unwrap().path, "/usr/lib/lib ssl.so.3");
        assert_eq!(of("7f-80 r--p 00001000 fe:01 1234 /usr/lib/x"), None);
        assert_eq!(of("7f-80 r-xp 00000000 00:00 0 [vdso]"), None);
        assert_eq!(of("7f-80 r-xp 00000000 00:00 0 "), None);
        assert_eq!(of(""), None);
        assert_eq!(
            of("00400000-00401000 r-xp 0 fe:01 5 /x").unwrap().ways[0],
            Path::new("/proc/7/map_files/400000-401000")
        );
    }

    #[test]
    fn this_process_is_read() {
        let pid = std::process::id();
        assert!(started(pid).is_some());
        assert!(all().contains(&pid));
        let exe = fs::canonicalize("/proc/self/exe").unwrap();
        let own = mapped(pid).unwrap().into_iter().find(|f| Path::new(&f.path) == exe);
        assert_eq!(executable(pid), own.map(|f| f.key));
        assert!(executable(pid).is_some() && executable(u32::MAX).is_none());
        assert!(started(u32::MAX).is_none());
    }
}
