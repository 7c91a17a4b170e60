//! Container ids in cgroup paths.

/// The id of the container that a cgroup belongs to: 64 hexadecimal digits.
///
/// Runtimes name a container's cgroup after its id: with systemd as the driver
/// `cri-containerd-<id>.scope`, `crio-<id>.scope`, `docker-<id>.scope`, `libpod-<id>.scope` (also
/// with `-conmon-`, which is not the container); with cgroupfs `/docker/<id>`,
/// `/kubepods/burstable/pod<uid>/<id>`. A container inside a container has several; the innermost
/// counts.
pub fn container_id(cgroup: &str) -> Option<&str> {
    cgroup.rsplit('/').find_map(|part| {
        let name = part.strip_suffix(".scope").unwrap_or(part);
        let (prefix, id) = name.rsplit_once('-').unwrap_or(("", name));
        // conmon is the supervisor of the container, in a cgroup beside it.
        let is_id = id.len() == 64 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        (is_id && !prefix.ends_with("conmon")).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn runtimes_and_drivers() {
        let id = "3f4e".repeat(16);
        let found = [
            "/docker/{}",
            "/system.slice/docker-{}.scope",
            "/system.slice/docker-{}.scope/init.scope",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1a.slice/cri-containerd-{}.scope",
            "/kubepods/besteffort/pod5f9e0f2a-3c1b-4b7e-8f0a-1a2b3c4d5e6f/{}",
            "/kubepods.slice/kubepods-pod1a.slice/crio-{}.scope",
            "/kubepods.slice/kubepods-pod1a.slice/crio-{}.scope/container",
            "/machine.slice/libpod-{}.scope",
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{}.scope",
            "/ecs/task/{}",
        ];
        for path in found {
            let path = path.replace("{}", &id);
            assert_eq!(container_id(&path), Some(&id[..]), "{path}");
        }
        let none =
            ["/", "", "/system.slice/nginx.service", "/docker/3f4e", "/machine.slice/libpod-conmon-{}.scope"];
        for path in none {
            assert_eq!(container_id(&path.replace("{}", &id)), None, "{path}");
        }
        let nested = format!("/docker/{}/docker/{id}", "ab".repeat(32));
        assert_eq!(container_id(&nested), Some(&id[..]));
    }
}
