//! Probes that are attached and detached many at a time, by links of the kind `BPF_TRACE_UPROBE_MULTI`
//! (Linux 6.6 and later).
//!
//! When a probe of its own is detached the kernel waits for a grace period of RCU, a tenth of a second
//! and more, one probe after the other; a link waits once for all of its probes. aya 0.14 cannot load
//! programs for such links, so that they are loaded here from the object that aya has loaded its maps
//! from.
#![expect(unsafe_code, reason = "bpf(2) has no wrapper in libc")]

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use aya::maps::{Map, MapData};
use aya_obj::Object;
use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_prog_type};

use super::KernelError;

/// Second descriptors of an object's maps, by name.
pub(super) type MapFds = Vec<(String, OwnedFd)>;

/// The maps of a loaded object, before they are taken out of it.
pub(super) fn map_fds<'a>(maps: impl Iterator<Item = (&'a str, &'a Map)>) -> Result<MapFds, KernelError> {
    let copy = |(name, map): (&str, &Map)| {
        let data = data(map)?;
        let fd = data.fd().as_fd().try_clone_to_owned();
        Some(fd.map(|fd| (name.to_owned(), fd)).map_err(|e| KernelError::io("copying a descriptor", e)))
    };
    maps.filter_map(copy).collect()
}

/// The kinds of maps that agent-ebpf/src/maps.rs has, and those of globals.
fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(m)
        | Map::ArrayOfMaps(m)
        | Map::HashMap(m)
        | Map::LpmTrie(m)
        | Map::LruHashMap(m)
        | Map::PerCpuArray(m)
        | Map::PerCpuHashMap(m)
        | Map::PerfEventArray(m)
        | Map::RingBuf(m)
        | Map::SkStorage(m) => Some(m),
        _ => None,
    }
}

/// Programs of an object, ready to be loaded.
pub(super) struct Programs {
    object: Object,
}

impl Programs {
    /// The programs in `object` with the maps `maps`.
    pub(super) fn parse(object: &[u8], maps: &MapFds) -> Result<Self, KernelError> {
        let failed = |e: &dyn std::error::Error| KernelError::Bpf {
            what: "reading the programs of probes".to_owned(),
            cause: e.to_string(),
        };
        let mut object = Object::parse(object).map_err(|e| failed(&e))?;
        let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        let definitions = std::mem::take(&mut object.maps);
        let found = maps.iter().filter_map(|(name, fd)| {
            let definition = definitions.get(name)?;
            Some((name.as_str(), fd.as_raw_fd(), definition))
        });
        object.relocate_maps(found, &text).map_err(|e| failed(&e))?;
        object.relocate_calls(&text).map_err(|e| failed(&e))?;
        Ok(Self { object })
    }

    /// Loads a program for links.
    pub(super) fn load(&self, name: &str) -> io::Result<OwnedFd> {
        let program = self.object.programs.get(name);
        let function = program.and_then(|p| self.object.functions.get(&p.function_key()));
        let function = function.ok_or_else(|| io::Error::other(format!("the object has no {name}")))?;
        load(&function.instructions, &self.object.license)
    }
}

fn load(instructions: &[aya_obj::generated::bpf_insn], license: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: zeros are a valid value of this union of numbers.
    let mut attr: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: `bpf(2)` reads this member for BPF_PROG_LOAD.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.prog_type = bpf_prog_type::BPF_PROG_TYPE_KPROBE as u32;
    load.expected_attach_type = bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32;
    load.insns = instructions.as_ptr() as u64;
    load.insn_cnt = u32::try_from(instructions.len()).map_err(io::Error::other)?;
    load.license = license.as_ptr() as u64;
    // SAFETY: the instructions and the license live until the call returns.
    unsafe { bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr) }
}

/// Attaches `program` to all processes that run the file at `path`, at each of `offsets` of the file;
/// with `at_return` to the returns of the functions that begin there. `cookie` is given to the program.
pub(super) fn attach(
    program: &OwnedFd,
    path: &Path,
    offsets: &[u64],
    at_return: bool,
    cookie: u64,
) -> io::Result<OwnedFd> {
    let cookies = vec![cookie; offsets.len()];
    let path = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)?;
    // SAFETY: zeros are a valid value of this union of numbers.
    let mut attr: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: `bpf(2)` reads these members for BPF_LINK_CREATE.
    unsafe {
        attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
        attr.link_create.attach_type = bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32;
        let multi = &mut attr.link_create.__bindgen_anon_3.uprobe_multi;
        multi.path = path.as_ptr() as u64;
        multi.offsets = offsets.as_ptr() as u64;
        multi.cookies = cookies.as_ptr() as u64;
        multi.cnt = u32::try_from(offsets.len()).map_err(io::Error::other)?;
        // BPF_F_UPROBE_MULTI_RETURN
        multi.flags = u32::from(at_return);
    }
    // SAFETY: the path, the offsets and the cookies live until the call returns.
    unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr) }
}

/// Whether the kernel knows such links. A directory is no file to probe, which only a kernel that
/// knows them finds out.
pub(super) fn is_supported(program: &OwnedFd) -> bool {
    let tried = attach(program, Path::new("/"), &[0], false, 0);
    tried.is_err_and(|e| e.raw_os_error() == Some(libc::EBADF))
}

/// `bpf(2)` with a command that returns a descriptor.
///
/// # Safety
/// What `attr` points to must be valid during the call.
unsafe fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    let size = size_of_val(attr);
    // SAFETY: as the caller promises; the descriptor is owned here.
    unsafe {
        let fd = libc::syscall(libc::SYS_bpf, command as libc::c_int, std::ptr::from_mut(attr), size);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(i32::try_from(fd).map_err(io::Error::other)?))
    }
}
