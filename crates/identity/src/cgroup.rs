//! What the path of a cgroup tells of the container and pod in it.

/// The id of the container that a cgroup belongs to: 64 hexadecimal digits.
///
/// Runtimes name a container's cgroup after its id: with systemd as the driver
/// `cri-containerd-<id>.scope`, `crio-<id>.scope`, `docker-<id>.scope`, `libpod-<id>.scope` (also
/// with `-conmon-`, which is not the container); with cgroupfs `/docker/<id>`,
/// `/kubepods/burstable/pod<uid>/<id>`, for CRI-O `crio-<id>`. containerd without the scheme that the
/// driver wants writes `<slice>:cri-containerd:<id>`. A container inside a container has several; the
/// innermost counts.
pub fn container_id(cgroup: &str) -> Option<&str> {
    cgroup.rsplit('/').find_map(|part| {
        let name = part.strip_suffix(".scope").unwrap_or(part);
        let (prefix, id) = name.rsplit_once(['-', ':']).unwrap_or(("", name));
        // conmon is the supervisor of the container, in a cgroup beside it.
        let is_id = id.len() == 64 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        (is_id && !prefix.ends_with("conmon")).then_some(id)
    })
}

/// The uid of the pod that a cgroup belongs to, as the node's kubelet knows it.
///
/// Kubelets name a pod's cgroup `pod<uid>` (cgroupfs) or `kubepods[-<class>]-pod<uid>.slice` with
/// `_` for `-` (systemd), below `kubepods` or what `--cgroup-root` puts before it. The innermost
/// counts: a node may itself run in a pod. Pods that the node's own files define have 32
/// hexadecimal digits for a uid.
pub fn pod_uid(cgroup: &str) -> Option<String> {
    cgroup.rsplit(['/', ':']).find_map(|part| {
        let uid = match part.strip_suffix(".slice") {
            Some(slice) if slice.contains("kubepods-") => slice.rsplit_once("-pod")?.1,
            Some(_) => return None,
            None => part.strip_prefix("pod")?,
        };
        let uid = uid.replace('_', "-");
        is_uid(&uid).then_some(uid)
    })
}

/// A UUID in its usual form, or 32 hexadecimal digits.
fn is_uid(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = text.bytes().enumerate().filter(|(_, b)| *b == b'-').map(|(i, _)| i);
    digits == 32
        && match text.len() {
            32 => true,
            36 => dashes.eq([8, 13, 18, 23]),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "5f9e0f2a-3c1b-4b7e-8f0a-1a2b3c4d5e6f";
    const UID_IN_SLICE: &str = "5f9e0f2a_3c1b_4b7e_8f0a_1a2b3c4d5e6f";
    const STATIC: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";

    /// Paths as they stand in `/proc/<pid>/cgroup` of real nodes, with `{id}` for the container, `{u}`
    /// for the uid, `{s}` for the uid in a slice's name.
    const PODS: &[&str] = &[
        // containerd, systemd driver, version 2: burstable, best effort, guaranteed
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{s}.slice/cri-containerd-{id}.scope",
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{s}.slice/cri-containerd-{id}.scope",
        "/kubepods.slice/kubepods-pod{s}.slice/cri-containerd-{id}.scope",
        // with a cgroup of its own inside the container (systemd, or a nested runtime's init)
        "/kubepods.slice/kubepods-pod{s}.slice/cri-containerd-{id}.scope/init.scope",
        // kind: the node is a container
        "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{s}.slice/cri-containerd-{id}.scope",
        // containerd, cgroupfs driver
        "/kubepods/burstable/pod{u}/{id}",
        "/kubepods/pod{u}/{id}",
        // containerd whose driver does not match the kubelet's
        "/system.slice/containerd.service/kubepods-burstable-pod{s}.slice:cri-containerd:{id}",
        // CRI-O, systemd and cgroupfs
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{s}.slice/crio-{id}.scope",
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{s}.slice/crio-{id}.scope/container",
        "/kubepods/besteffort/pod{u}/crio-{id}",
        // Docker (dockershim, cri-dockerd), systemd and cgroupfs
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{s}.slice/docker-{id}.scope",
        "/kubepods/burstable/pod{u}/{id}",
        // the node itself is a Docker container
        "/docker/1111111111111111111111111111111111111111111111111111111111111111/kubepods/burstable/pod{u}/{id}",
    ];

    fn made(path: &str, id: &str) -> String {
        path.replace("{id}", id).replace("{u}", UID).replace("{s}", UID_IN_SLICE)
    }

    #[test]
    fn pods_and_their_containers() {
        let id = "3f4e".repeat(16);
        for path in PODS {
            let path = made(path, &id);
            assert_eq!(container_id(&path), Some(&id[..]), "{path}");
            assert_eq!(pod_uid(&path).as_deref(), Some(UID), "{path}");
        }
        // The pod's own cgroup, in which nothing of a container is.
        let slice = format!("/kubepods.slice/kubepods-pod{UID_IN_SLICE}.slice");
        assert_eq!((container_id(&slice), pod_uid(&slice).as_deref()), (None, Some(UID)));
        let of_file = format!("/kubepods.slice/kubepods-pod{STATIC}.slice/cri-containerd-{id}.scope");
        assert_eq!(pod_uid(&of_file).as_deref(), Some(STATIC));
        // A node in a pod: what runs in the inner pod belongs to it.
        let outer = "0000000-0000".repeat(3);
        let nested = format!("/kubepods/pod{outer}/{}/kubepods/burstable/pod{UID}/{id}", "22".repeat(32));
        assert_eq!(pod_uid(&nested).as_deref(), Some(UID));
    }

    #[test]
    fn containers_without_a_pod() {
        let id = "3f4e".repeat(16);
        let found = [
            "/docker/{id}",
            "/system.slice/docker-{id}.scope",
            "/system.slice/docker-{id}.scope/init.scope",
            "/machine.slice/libpod-{id}.scope",
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{id}.scope",
            "/ecs/task/{id}",
        ];
        for path in found {
            let path = made(path, &id);
            assert_eq!(container_id(&path), Some(&id[..]), "{path}");
            assert_eq!(pod_uid(&path), None, "{path}");
        }
        let nested = format!("/docker/{}/docker/{id}", "ab".repeat(32));
        assert_eq!(container_id(&nested), Some(&id[..]));
    }

    #[test]
    fn neither() {
        let id = "3f4e".repeat(16);
        let none = [
            "/",
            "",
            "/system.slice/nginx.service",
            "/system.slice/kubelet.service",
            "/docker/3f4e",
            "/machine.slice/libpod-conmon-{id}.scope",
            "/kubepods.slice/kubepods-burstable.slice",
            "/podman",
            "/pod",
            "/user.slice/podracer.slice",
            "/kubepods/pod5f9e0f2a3-c1b-4b7e-8f0a-1a2b3c4d5e6f",
        ];
        for path in none {
            let path = made(path, &id);
            assert_eq!(container_id(&path), None, "{path}");
            assert_eq!(pod_uid(&path), None, "{path}");
        }
    }
}
