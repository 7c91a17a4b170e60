//! Steering and observing a running capture.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use remora_abi::{Counter, Reason, Shunt, packet_flags};

use super::{
    Config, Counters, FlowEntry, FlowTable, KernelError, Owners, PacketRecord, Policy, Tier, TierReport,
    clock::Clock, flows::Flows, load::Maps, packet_socket::PacketShared, policy,
};

/// Until when a direction of a flow is not copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShuntUntil {
    /// Packets that end at or before this TCP sequence number are skipped; it may lie up to 1 GiB
    /// ahead of what was seen.
    Seq(u32),
    /// Everything is skipped but SYN, FIN and RST.
    End,
}

/// Steers and observes a running capture; clones share it, and it may outlive the [`super::Capture`].
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) report: TierReport,
    pub(super) backend: Backend,
    pub(super) state: Mutex<State>,
    pub(super) owners: Owners,
    pub(super) wakeup_bytes: u32,
}

pub(super) struct State {
    pub(super) policy: Policy,
    pub(super) generation: u32,
}

pub(super) enum Backend {
    Bpf(Arc<Mutex<Maps>>),
    Packet(Arc<PacketShared>),
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("tier", &self.shared.report.tier).finish_non_exhaustive()
    }
}

/// Locks, also after a panic elsewhere: what these mutexes guard stays consistent.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Control {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Which tier runs and why.
    pub fn report(&self) -> &TierReport {
        &self.shared.report
    }

    /// The counters since the start.
    pub fn counters(&self) -> Result<Counters, KernelError> {
        let maps = match &self.shared.backend {
            Backend::Bpf(maps) => lock(maps),
            Backend::Packet(p) => return Ok(p.counters()),
        };
        let mut out = Counters::default();
        for reason in Reason::ALL {
            let per_cpu = maps
                .counters
                .get(&(reason as u32), 0)
                .map_err(|e| KernelError::bpf("reading the capture counters", e))?;
            for c in per_cpu.iter() {
                out.add(reason, Counter { packets: c.packets, bytes: c.bytes });
            }
        }
        Ok(out)
    }

    /// The flow table, to look up single flows. The `AF_PACKET` tier has none.
    pub fn flow_table(&self) -> Option<FlowTable> {
        self.shared_flows().map(FlowTable::new)
    }

    fn shared_flows(&self) -> Option<Arc<RwLock<Flows>>> {
        match &self.shared.backend {
            Backend::Bpf(maps) => Some(Arc::clone(&lock(maps).flows)),
            Backend::Packet(_) => None,
        }
    }

    /// Hands every flow of the table to `f`, in no order. Flows that come or go meanwhile may be
    /// missed; none comes twice while it stays. The `AF_PACKET` tier has no table.
    pub fn flows(&self, mut f: impl FnMut(FlowEntry)) -> Result<(), KernelError> {
        let Some(flows) = self.shared_flows() else {
            return Err(KernelError::Unsupported(self.shared.report.tier));
        };
        let clock = Clock::new();
        let flows = flows.read().unwrap_or_else(PoisonError::into_inner);
        for entry in flows.iter() {
            match entry {
                Ok((key, value)) => f(FlowEntry::new(&key, &value, &clock)),
                // The flow went away between its key and its value.
                Err(aya::maps::MapError::KeyNotFound) => {}
                Err(e) => return Err(KernelError::bpf("reading the flow table", e)),
            }
        }
        Ok(())
    }

    /// The policy in force.
    pub fn policy(&self) -> Policy {
        lock(&self.shared.state).policy.clone()
    }

    /// Changes the policy; flows under way are judged again at their next packet.
    pub fn update_policy(&self, change: impl FnOnce(&mut Policy)) -> Result<(), KernelError> {
        let mut state = lock(&self.shared.state);
        let mut new = state.policy.clone();
        change(&mut new);
        if new == state.policy {
            return Ok(());
        }
        policy::check(&new)?;
        let by_cgroup = !new.include_cgroups.is_empty() || !new.exclude_cgroups.is_empty();
        if by_cgroup && self.shared.report.tier != Tier::Cgroup {
            return Err(KernelError::Unsupported(self.shared.report.tier));
        }
        let generation = state.generation.wrapping_add(1).max(1);
        match &self.shared.backend {
            Backend::Bpf(maps) => {
                let mut maps = lock(maps);
                policy::write(&mut maps, &state.policy, &new)?;
                let s = policy::settings(&self.shared.config, &new, generation, self.shared.wakeup_bytes);
                maps.settings.set(0, s, 0).map_err(|e| KernelError::bpf("changing the policy", e))?;
            }
            Backend::Packet(p) => p.set_policy(&new),
        }
        state.policy = new;
        state.generation = generation;
        Ok(())
    }

    /// Stops copying the direction of the flow that `packet` went in. What is skipped counts as
    /// [`Reason::Shunted`] and in the flow's `shunted_bytes`. A shunt ends by itself when the
    /// stream passes `until`; another flow may push it out earlier. Without a flow table in the
    /// kernel (`AF_PACKET`) this does nothing.
    pub fn shunt(&self, packet: &PacketRecord<'_>, until: ShuntUntil) -> Result<(), KernelError> {
        let side = usize::from(packet.flags & packet_flags::FROM_SIDE_1 != 0);
        self.shunt_flow(packet.flow_id, side, until)
    }

    /// The same by the flow's id and the side (0 or 1, in the order of the flow table) that sends.
    pub fn shunt_flow(&self, flow_id: u32, side: usize, until: ShuntUntil) -> Result<(), KernelError> {
        self.change_shunt(flow_id, |slot| {
            let (part, rest) = bits(side);
            match until {
                ShuntUntil::Seq(seq) => {
                    slot.sides = slot.sides & !rest | part;
                    slot.until[side & 1] = seq;
                }
                ShuntUntil::End => slot.sides |= rest,
            }
        })
    }

    /// Copies the direction again from its next packet on.
    pub fn unshunt_flow(&self, flow_id: u32, side: usize) -> Result<(), KernelError> {
        self.change_shunt(flow_id, |slot| {
            let (part, rest) = bits(side);
            slot.sides &= !(part | rest);
        })
    }

    fn change_shunt(&self, flow_id: u32, change: impl FnOnce(&mut Shunt)) -> Result<(), KernelError> {
        let Backend::Bpf(maps) = &self.shared.backend else { return Ok(()) };
        if flow_id == 0 {
            return Ok(());
        }
        let failed = |e| KernelError::bpf("changing a shunt", e);
        let index = flow_id & (Shunt::SLOTS - 1);
        let mut maps = lock(maps);
        let mut slot = maps.shunts.get(&index, 0).map_err(failed)?;
        if slot.flow_id != flow_id {
            slot = Shunt { flow_id, ..Shunt::default() };
        }
        change(&mut slot);
        maps.shunts.set(index, slot, 0).map_err(failed)
    }

    /// Who owns sockets.
    pub fn owners(&self) -> &Owners {
        &self.shared.owners
    }
}

/// The bits of a side in [`Shunt::sides`]: up to a sequence number, and the whole rest.
fn bits(side: usize) -> (u32, u32) {
    if side & 1 == 0 { (1, 4) } else { (2, 8) }
}
