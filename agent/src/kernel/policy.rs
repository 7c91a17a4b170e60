//! Writing a policy into the maps.

use std::{collections::BTreeMap, net::IpAddr};

use aya::maps::lpm_trie::Key;
use remora_abi::{Match, Settings, settings_flags as flag};

use super::{Cidr, Config, KernelError, Policy, load::Maps};

/// Refuses a policy that does not fit the maps.
pub(super) fn check(policy: &Policy) -> Result<(), KernelError> {
    let cidrs = policy.include_cidrs.len() + policy.exclude_cidrs.len();
    let cgroups = policy.include_cgroups.len() + policy.exclude_cgroups.len();
    if cidrs > Policy::MAX_CIDRS {
        return Err(KernelError::Setting(format!(
            "the capture policy has {cidrs} address ranges, at most {} are possible",
            Policy::MAX_CIDRS
        )));
    }
    if cgroups > Policy::MAX_CGROUPS {
        return Err(KernelError::Setting(format!(
            "the capture policy has {cgroups} cgroups, at most {} are possible",
            Policy::MAX_CGROUPS
        )));
    }
    Ok(())
}

/// The settings that go with a policy.
pub(super) fn settings(config: &Config, policy: &Policy, generation: u32, wakeup_bytes: u32) -> Settings {
    let bits = [
        (!policy.exclude_ports.is_empty(), flag::PORTS_EXCLUDED),
        (!policy.include_ports.is_empty(), flag::PORTS_INCLUDED),
        (!policy.exclude_cidrs.is_empty(), flag::CIDRS_EXCLUDED),
        (!policy.include_cidrs.is_empty(), flag::CIDRS_INCLUDED),
        (!policy.exclude_cgroups.is_empty(), flag::CGROUPS_EXCLUDED),
        (!policy.include_cgroups.is_empty(), flag::CGROUPS_INCLUDED),
    ];
    Settings {
        generation,
        snaplen: config.snaplen,
        sample: config.sample,
        flags: bits.into_iter().filter(|(on, _)| *on).fold(0, |f, (_, bit)| f | bit),
        own_tgid: config.own_process.unwrap_or(0),
        wakeup_bytes,
    }
}

/// Brings the maps from one policy to another.
pub(super) fn write(maps: &mut Maps, old: &Policy, new: &Policy) -> Result<(), KernelError> {
    let ports = changes(&old.include_ports, &old.exclude_ports, &new.include_ports, &new.exclude_ports);
    for (port, bits) in ports {
        maps.ports
            .set(u32::from(port), bits, 0)
            .map_err(|e| KernelError::bpf("setting a port's policy", e))?;
    }
    let cidrs = cidr_changes(old, new);
    // Longest prefixes first, so that a range never lacks what a wider one gives it.
    for (cidr, bits) in cidrs.into_iter().rev() {
        let (value, prefix) = (u32::from(bits), u32::from(cidr.prefix()));
        let result = match (cidr.address(), bits) {
            (IpAddr::V4(a), 0) => maps.cidrs4.remove(&Key::new(prefix, a.octets())),
            (IpAddr::V4(a), _) => maps.cidrs4.insert(&Key::new(prefix, a.octets()), value, 0),
            (IpAddr::V6(a), 0) => maps.cidrs6.remove(&Key::new(prefix, a.octets())),
            (IpAddr::V6(a), _) => maps.cidrs6.insert(&Key::new(prefix, a.octets()), value, 0),
        };
        result.map_err(|e| KernelError::bpf(format!("setting the policy of {cidr}"), e))?;
    }
    let cgroups =
        changes(&old.include_cgroups, &old.exclude_cgroups, &new.include_cgroups, &new.exclude_cgroups);
    for (id, bits) in cgroups {
        if bits == 0 { maps.cgroups.remove(&id) } else { maps.cgroups.insert(id, u32::from(bits), 0) }
            .map_err(|e| KernelError::bpf("setting a cgroup's policy", e))?;
    }
    Ok(())
}

type Set<T> = std::collections::BTreeSet<T>;

fn combine<T: Ord + Copy>(include: &Set<T>, exclude: &Set<T>) -> BTreeMap<T, u8> {
    let mut out = BTreeMap::new();
    for (set, bit) in [(include, Match::INCLUDE), (exclude, Match::EXCLUDE)] {
        for item in set {
            *out.entry(*item).or_insert(0) |= bit;
        }
    }
    out
}

/// The entries that differ, with their new value; 0 means none.
fn difference<T: Ord + Copy>(old: &BTreeMap<T, u8>, new: &BTreeMap<T, u8>) -> BTreeMap<T, u8> {
    let gone = old.keys().filter(|k| !new.contains_key(k)).map(|k| (*k, 0));
    let changed = new.iter().filter(|(k, v)| old.get(k) != Some(v)).map(|(k, v)| (*k, *v));
    gone.chain(changed).collect()
}

fn changes<T: Ord + Copy>(
    old_in: &Set<T>,
    old_out: &Set<T>,
    new_in: &Set<T>,
    new_out: &Set<T>,
) -> BTreeMap<T, u8> {
    difference(&combine(old_in, old_out), &combine(new_in, new_out))
}

fn cidr_changes(old: &Policy, new: &Policy) -> Vec<(Cidr, u8)> {
    let inherit = |policy: &Policy| {
        let own = combine(&policy.include_cidrs, &policy.exclude_cidrs);
        // The kernel finds the longest prefix only, so each range carries what wider ones say.
        own.keys()
            .map(|c| {
                let bits = own
                    .iter()
                    .filter(|(w, _)| w.prefix() <= c.prefix() && w.contains(c.address()))
                    .fold(0, |bits, (_, b)| bits | b);
                (*c, bits)
            })
            .collect::<BTreeMap<_, _>>()
    };
    let mut out: Vec<_> = difference(&inherit(old), &inherit(new)).into_iter().collect();
    out.sort_by_key(|(c, _)| c.prefix());
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_range_keeps_what_a_wider_one_says() {
        let old = Policy::default();
        let new = Policy {
            include_cidrs: ["10.0.0.0/8".parse().unwrap()].into(),
            exclude_cidrs: ["10.1.0.0/16".parse().unwrap()].into(),
            ..Policy::default()
        };
        let got: Vec<_> = cidr_changes(&old, &new).into_iter().map(|(c, b)| (c.to_string(), b)).collect();
        assert_eq!(
            got,
            [
                ("10.0.0.0/8".to_owned(), Match::INCLUDE),
                ("10.1.0.0/16".to_owned(), Match::INCLUDE | Match::EXCLUDE)
            ]
        );
        let back: Vec<_> = cidr_changes(&new, &old).into_iter().map(|(_, b)| b).collect();
        assert_eq!(back, [0, 0]);
        assert!(cidr_changes(&new, &new).is_empty());
    }
}
