//! The root directory of a guest: test programs, the programs that they use, and all libraries.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Kernel;
use crate::product;
use crate::run::{Run, which};

/// Programs of this machine that the tests use, and modprobe, which the kernel calls.
const PROGRAMS: &[&str] = &[
    "busybox",
    "curl",
    "dig",
    "dnsmasq",
    "ip",
    "modprobe",
    "redis-cli",
    "redis-server",
    "sed",
    "setpriv",
    "unshare",
];

/// What the guest's first process and the tests use of busybox.
const APPLETS: &[&str] = &[
    "cat", "echo", "env", "grep", "kill", "mkdir", "mount", "poweroff", "rm", "sh", "sleep", "stty", "tee",
    "true", "umount", "uname",
];

/// Kernel modules that the tests use.
const MODULES: &[&str] = &["cls_bpf", "sch_ingress", "veth"];

/// Parts of Python's library that are not copied; they are the large ones.
const PYTHON_WITHOUT: &[&str] =
    &["dist-packages", "ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tkinter"];

/// Makes the directory anew. `tests` are names and files; `filter` is what their harnesses get.
pub(super) fn make(root: &Path, tests: &[(&str, &Path)], filter: Option<&str>) -> Result<()> {
    let _ = fs::remove_dir_all(root);
    for dir in [
        "dev",
        "etc",
        "proc",
        "root",
        "run",
        "sys",
        "tests",
        "tmp",
        "usr/bin",
        "usr/lib",
        "usr/lib64",
        "usr/sbin",
    ] {
        let dir = root.join(dir);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    for (link, to) in [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        symlink(to, root.join(link))?;
    }
    for (file, text) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("etc/group", "root:x:0:\n"),
        ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("filter", filter.unwrap_or_default()),
        ("init", include_str!("init")),
    ] {
        fs::write(root.join(file), text)?;
    }
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755))?;
    for program in PROGRAMS {
        let file = which(program).with_context(|| format!("{program} is not installed"))?;
        // The kernel looks for modprobe in /sbin, the others are found anywhere.
        let dir = if *program == "modprobe" { "usr/sbin" } else { "usr/bin" };
        install(root, &file, &Path::new(dir).join(program))?;
    }
    for applet in APPLETS {
        symlink("busybox", root.join("usr/bin").join(applet))?;
    }
    install(root, &product::binary(), Path::new("usr/bin/remora"))?;
    for (name, file) in tests {
        install(root, file, &Path::new("tests").join(name))?;
    }
    python(root)
}

/// Copies a program without debugging information to `place`, and its libraries to where it finds them.
fn install(root: &Path, program: &Path, place: &Path) -> Result<()> {
    let to = root.join(place);
    if !Run::new("strip").arg(program).arg("-o").arg(&to).succeeds() {
        fs::copy(program, &to).with_context(|| format!("cannot copy {}", program.display()))?;
    }
    libraries(root, program)
}

fn libraries(root: &Path, program: &Path) -> Result<()> {
    // ldd fails for a program that has none.
    let text = Run::new("ldd").arg(program).output().unwrap_or_default();
    for library in text.split_whitespace().filter(|word| word.starts_with('/')) {
        let to = inside(root, Path::new(library));
        if !to.exists() {
            copy(Path::new(library), &to)?;
        }
    }
    Ok(())
}

/// Python under the path that it has here, by which it finds its library.
fn python(root: &Path) -> Result<()> {
    let system = Path::new("/usr/bin/python3");
    let python = if system.exists() { system } else { Path::new("python3") };
    let ask = "import sys, sysconfig; print(sys.executable); print(sysconfig.get_path('stdlib'))";
    let answer = Run::new(python).args(["-I", "-c", ask]).output()?;
    let (executable, library) = answer.trim().split_once('\n').context("Python does not say where it is")?;
    let (executable, library) = (Path::new(executable), Path::new(library));
    copy(executable, &inside(root, executable))?;
    libraries(root, executable)?;
    if !root.join("usr/bin/python3").exists() {
        symlink(executable, root.join("usr/bin/python3"))?;
    }
    let mut dirs = vec![library.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !PYTHON_WITHOUT.contains(&name.as_str()) && !name.starts_with("config-") {
                    dirs.push(path);
                }
            } else if path.is_file() {
                copy(&path, &inside(root, &path))?;
                if name.ends_with(".so") {
                    libraries(root, &path)?;
                }
            }
        }
    }
    Ok(())
}

/// The modules that the tests use, with the index that modprobe reads.
pub(super) fn copy_modules(to: &Path, kernel: &Kernel) -> Result<()> {
    let _ = fs::remove_dir_all(to);
    let place = to.join("usr/lib/modules").join(&kernel.release);
    let mut dirs = vec![kernel.modules.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let wanted =
                MODULES.iter().any(|m| name.strip_prefix(m).is_some_and(|rest| rest.starts_with(".ko")));
            if entry.file_type()?.is_dir() {
                dirs.push(path);
            } else if wanted || name.starts_with("modules.") {
                copy(&path, &place.join(path.strip_prefix(&kernel.modules)?))?;
            }
        }
    }
    // depmod looks below lib, which is no directory in the guest.
    symlink("usr/lib", to.join("lib"))?;
    Run::new("depmod").arg("--basedir").arg(to).arg(&kernel.release).output()?;
    fs::remove_file(to.join("lib"))?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::copy(from, to));
    copied.map(drop).with_context(|| format!("cannot copy {}", from.display()))
}

/// A path of this machine below `root`.
fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}
