//! A memory-mapped ring of an `AF_PACKET` socket (TPACKET_V3, packet_mmap in the kernel's
//! documentation).
#![expect(unsafe_code, reason = "the ring is memory shared with the kernel")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
};

/// A frame: its metadata, and its bytes from the IP header on.
pub(super) struct Frame<'a> {
    pub(super) time_ns: u64,
    pub(super) wire_len: u32,
    pub(super) ifindex: u32,
    pub(super) outgoing: bool,
    pub(super) loopback: bool,
    pub(super) data: &'a [u8],
}

/// The socket and its ring.
#[derive(Debug)]
pub(super) struct PacketRing {
    socket: OwnedFd,
    memory: NonNull<u8>,
    blocks: u32,
    block: u32,
    /// Frames left in the current block, and the offset of the next one in it.
    left: u32,
    offset: usize,
}

// SAFETY: the mapping is used by the owner of this value alone; nothing in it is bound to a thread.
unsafe impl Send for PacketRing {}

/// Blocks of this size hold several of the largest packets.
const BLOCK: u32 = 256 << 10;
/// The kernel hands a block over after this many milliseconds, full or not.
const RETIRE_MS: u32 = 5;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn set<T>(socket: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: `value` is valid for `len` bytes.
    let r = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, std::ptr::from_ref(value).cast(), len)
    };
    check(r).map(drop)
}

impl PacketRing {
    /// Opens a ring of about `bytes` on one interface, or on all with index 0; rings of the same
    /// `group` share the flows, both directions of a flow in one.
    pub(super) fn open(ifindex: u32, bytes: u32, group: u16, members: u32) -> io::Result<Self> {
        // Protocol 0: nothing arrives before the ring is set up and the socket bound.
        // SAFETY: a plain system call; the descriptor is owned here.
        let socket = unsafe {
            OwnedFd::from_raw_fd(check(libc::socket(
                libc::AF_PACKET,
                libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
                0,
            ))?)
        };
        set(&socket, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as libc::c_int))?;
        let blocks = (bytes / BLOCK).max(4);
        let request = libc::tpacket_req3 {
            tp_block_size: BLOCK,
            tp_block_nr: blocks,
            tp_frame_size: 2048,
            tp_frame_nr: blocks * (BLOCK / 2048),
            tp_retire_blk_tov: RETIRE_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set(&socket, libc::PACKET_RX_RING, &request)?;
        let len = blocks as usize * BLOCK as usize;
        // SAFETY: maps the ring that was just set up, of that length.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory =
            NonNull::new(memory.cast::<u8>()).ok_or_else(|| io::Error::other("mmap returned null"))?;
        let ring = Self { socket, memory, blocks, block: 0, left: 0, offset: 0 };
        // SAFETY: all zero is a valid sockaddr_ll.
        let mut addr: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        addr.sll_family = libc::AF_PACKET as libc::c_ushort;
        addr.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        addr.sll_ifindex = libc::c_int::try_from(ifindex).map_err(io::Error::other)?;
        let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: `addr` is valid for `len` bytes.
        check(unsafe { libc::bind(ring.socket.as_raw_fd(), (&raw const addr).cast(), len) })?;
        if members > 1 {
            // Hashed by flow, the same for both directions; fragments are put together before.
            let mode = libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_DEFRAG;
            set(&ring.socket, libc::PACKET_FANOUT, &(u32::from(group) | mode << 16))?;
        }
        Ok(ring)
    }

    /// Packets that the kernel dropped since the last call because the ring was full.
    pub(super) fn take_drops(&self) -> io::Result<u64> {
        // SAFETY: all zero is a valid value.
        let mut stats: libc::tpacket_stats_v3 = unsafe { std::mem::zeroed() };
        let mut len = size_of::<libc::tpacket_stats_v3>() as libc::socklen_t;
        // SAFETY: `stats` has room for `len` bytes.
        let r = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut stats).cast(),
                &raw mut len,
            )
        };
        check(r).map(|_| u64::from(stats.tp_drops))
    }

    /// Hands frames to `f` until the ring is empty or `f` was called `budget` times.
    pub(super) fn drain(&mut self, budget: usize, mut f: impl FnMut(Frame<'_>)) -> usize {
        let mut n = 0;
        while n < budget {
            let start = self.block as usize * BLOCK as usize;
            // SAFETY: `block < blocks`, so the header lies in the mapping, which is page aligned.
            let header = unsafe {
                let desc = self.memory.add(start).cast::<libc::tpacket_block_desc>();
                &raw mut (*desc.as_ptr()).hdr.bh1
            };
            // SAFETY: a valid, aligned word that the kernel also writes.
            let status = unsafe { AtomicU32::from_ptr(&raw mut (*header).block_status) };
            if self.left == 0 {
                if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
                    break;
                }
                // SAFETY: the block is ours until its status is given back.
                unsafe {
                    self.left = (*header).num_pkts;
                    self.offset = (*header).offset_to_first_pkt as usize;
                }
            }
            while self.left > 0 && n < budget {
                // SAFETY: the block is ours.
                match unsafe { self.frame(start) } {
                    Some((frame, next)) => {
                        f(frame);
                        n += 1;
                        self.offset += next;
                        self.left -= 1;
                    }
                    // Cannot be unless the kernel writes nonsense: give the block up.
                    None => self.left = 0,
                }
            }
            if self.left == 0 {
                status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
                self.block = (self.block + 1) % self.blocks;
            }
        }
        n
    }

    /// The frame at the current offset of the block at `start`, and the distance to the next one.
    ///
    /// # Safety
    ///
    /// The block belongs to user space.
    unsafe fn frame(&self, start: usize) -> Option<(Frame<'_>, usize)> {
        let end = BLOCK as usize;
        let address = size_of::<libc::tpacket3_hdr>().next_multiple_of(16);
        if self.offset + address + size_of::<libc::sockaddr_ll>() > end {
            return None;
        }
        // SAFETY: both headers lie in the block, whose offsets the kernel aligns to 16 bytes.
        let (h, ll) = unsafe {
            let base = self.memory.add(start + self.offset);
            (
                base.cast::<libc::tpacket3_hdr>().read_unaligned(),
                base.add(address).cast::<libc::sockaddr_ll>().read_unaligned(),
            )
        };
        let (net, snap) = (usize::from(h.tp_net), h.tp_snaplen as usize);
        if self.offset.checked_add(net)?.checked_add(snap)? > end {
            return None;
        }
        // SAFETY: checked above; the bytes stay until the block is given back, which takes `&mut`.
        let data =
            unsafe { std::slice::from_raw_parts(self.memory.add(start + self.offset + net).as_ptr(), snap) };
        let frame = Frame {
            time_ns: u64::from(h.tp_sec) * 1_000_000_000 + u64::from(h.tp_nsec),
            wire_len: h.tp_len,
            ifindex: ll.sll_ifindex.cast_unsigned(),
            outgoing: ll.sll_pkttype == libc::PACKET_OUTGOING,
            loopback: ll.sll_hatype == libc::ARPHRD_LOOPBACK,
            data,
        };
        Some((frame, h.tp_next_offset as usize))
    }
}

impl AsFd for PacketRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for PacketRing {
    fn drop(&mut self) {
        // SAFETY: unmaps what `open` mapped; no slice of it outlives `self`.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.blocks as usize * BLOCK as usize) };
    }
}
