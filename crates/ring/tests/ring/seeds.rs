//! The inputs that fuzzing begins with: segments with their index in the form that
//! `fuzz/fuzz_targets/ring.rs` describes. `REMORA_BLESS=1` writes them anew.

use std::path::Path;

use remora_ring::{Ring, inspect};

use crate::common::*;

/// The length of the index, the index, the segment.
fn seed(packets: u64, secrets: bool) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let ring = Ring::open(&config(dir.path(), 4 << 20)).unwrap();
    let interface = ring.interface("n", "");
    let mut feed = ring.feed();
    for n in 0..packets {
        push(&mut feed, interface, 1_000 - n as i64, &udp(n as u16 % 3, false, n, n as usize));
    }
    drop(feed);
    if secrets {
        ring.secret(&format!("CLIENT_RANDOM {} {}", "ab".repeat(32), "cd".repeat(48))).unwrap();
    }
    drop(ring);
    let read = |extension| std::fs::read(&files(dir.path(), extension)[0]).unwrap();
    let (index, segment) = (read("idx"), read("pcapng"));
    [&u16::try_from(index.len()).unwrap().to_le_bytes()[..], &index, &segment].concat()
}

fn parts(seed: &[u8]) -> (&[u8], &[u8]) {
    let len = usize::from(u16::from_le_bytes([seed[0], seed[1]]));
    let (index, segment) = seed[2..].split_at(len);
    (segment, index)
}

#[test]
fn seeds_are_what_the_ring_writes() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/ring");
    let cut = |mut seed: Vec<u8>| {
        seed.truncate(seed.len() - 30);
        seed
    };
    for (name, made) in [
        ("packets", seed(7, false)),
        ("secret", seed(2, true)),
        ("torn", cut(seed(4, false))),
        ("without-packets", seed(0, true)),
    ] {
        let path = dir.join(name);
        if std::env::var_os("REMORA_BLESS").is_some() {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(&path, &made).unwrap();
        }
        let kept = std::fs::read(&path).unwrap();
        let [kept, made] = [&kept, &made].map(|seed| {
            let (segment, index) = parts(seed);
            inspect(segment, index)
        });
        assert_eq!(kept, made, "{name}");
        assert_eq!(made.index_used, name != "torn");
        assert_eq!(made.damaged, 0);
    }
}
