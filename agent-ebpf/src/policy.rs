//! Whether a flow is captured: asked once per flow, and again when the policy changes.

use aya_ebpf::{
    bindings::__sk_buff,
    btf_maps::lpm_trie::Key,
    helpers::generated::{bpf_sk_storage_get, bpf_skb_ancestor_cgroup_id, bpf_skb_cgroup_id},
};
use remora_abi::{
    FlowKey, FlowSide, FlowValue, Match, Reason, Settings, SocketOwner, settings_flags, side_flags,
};

use crate::maps::{CGROUPS, CIDRS4, CIDRS6, PORTS, SOCKET_OWNERS};

/// Cgroup levels that are looked at from the root down; kubepods paths have five or six.
const CGROUP_LEVELS: i32 = 10;
/// From the bits of [`Match`] to those of `side_flags`.
const CGROUP_SHIFT: u8 = 2;
const _: () = assert!(Match::INCLUDE << CGROUP_SHIFT == side_flags::CGROUP_INCLUDED);
const _: () = assert!(Match::EXCLUDE << CGROUP_SHIFT == side_flags::CGROUP_EXCLUDED);

/// Finds cgroup and owner of the socket that a packet belongs to.
#[inline(always)]
pub fn identify(skb: *mut __sk_buff, side: &mut FlowSide, settings: &Settings) {
    side.flags |= side_flags::LOCAL;
    // SAFETY: `skb` is the program's context.
    unsafe {
        side.cgroup_id = bpf_skb_cgroup_id(skb);
        let sk = (*skb).__bindgen_anon_2.sk;
        if !sk.is_null() {
            let owner = bpf_sk_storage_get(SOCKET_OWNERS.as_ptr(), sk.cast(), core::ptr::null_mut(), 0)
                .cast::<SocketOwner>();
            if !owner.is_null() {
                side.tgid = (*owner).tgid;
            }
        }
        if settings.flags & (settings_flags::CGROUPS_EXCLUDED | settings_flags::CGROUPS_INCLUDED) == 0 {
            return;
        }
        let mut level = 0;
        while level < CGROUP_LEVELS {
            let id = bpf_skb_ancestor_cgroup_id(skb, level);
            if id == 0 {
                break;
            }
            if let Some(m) = CGROUPS.get(&id) {
                // The flags are chosen such that this is a shift.
                side.flags |= (*m as u8 & (Match::INCLUDE | Match::EXCLUDE)) << CGROUP_SHIFT;
            }
            level += 1;
        }
    }
}

/// The verdict on a flow: `Captured`, or the reason why not.
#[inline(always)]
pub fn judge(key: &FlowKey, flow: &FlowValue, settings: &Settings, fragment: bool) -> Reason {
    let own = settings.own_tgid;
    if own != 0 && (flow.side[0].tgid == own || flow.side[1].tgid == own) {
        return Reason::Own;
    }
    let flags = settings.flags;
    if flags & (settings_flags::PORTS_EXCLUDED | settings_flags::PORTS_INCLUDED) != 0 && !fragment {
        let found = port(key.port[0]) | port(key.port[1]);
        if found & Match::EXCLUDE != 0
            || flags & settings_flags::PORTS_INCLUDED != 0 && found & Match::INCLUDE == 0
        {
            return Reason::Policy;
        }
    }
    if flags & (settings_flags::CIDRS_EXCLUDED | settings_flags::CIDRS_INCLUDED) != 0 {
        let found = range(&key.addr[0]) | range(&key.addr[1]);
        if found & u32::from(Match::EXCLUDE) != 0
            || flags & settings_flags::CIDRS_INCLUDED != 0 && found & u32::from(Match::INCLUDE) == 0
        {
            return Reason::Policy;
        }
    }
    let sides = flow.side[0].flags | flow.side[1].flags;
    if sides & side_flags::CGROUP_EXCLUDED != 0
        || flags & settings_flags::CGROUPS_INCLUDED != 0 && sides & side_flags::CGROUP_INCLUDED == 0
    {
        return Reason::Policy;
    }
    if settings.sample > 1 && key.share(settings.sample) != 0 {
        return Reason::Sampled;
    }
    Reason::Captured
}

#[inline(always)]
fn port(number: u16) -> u8 {
    PORTS.get(u32::from(number)).copied().unwrap_or(0)
}

#[inline(always)]
fn range(addr: &[u64; 2]) -> u32 {
    let low = addr[1].to_ne_bytes();
    if addr[0] == 0 && low[0] == 0 && low[1] == 0 && low[2] == 0xff && low[3] == 0xff {
        CIDRS4.get(&Key::new(32, [low[4], low[5], low[6], low[7]])).copied().unwrap_or(0)
    } else {
        let high = addr[0].to_ne_bytes();
        let data = [
            high[0], high[1], high[2], high[3], high[4], high[5], high[6], high[7], low[0], low[1], low[2],
            low[3], low[4], low[5], low[6], low[7],
        ];
        CIDRS6.get(&Key::new(128, data)).copied().unwrap_or(0)
    }
}
