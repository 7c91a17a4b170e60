#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

fn builder(entries: &[(i64, u32, u32, u32)]) -> (Builder, Vec<Entry>) {
    let mut b = Builder::default();
    b.head.flows = (0..8).map(|n| n * 77).collect();
    b.head.interfaces = vec![("node".into(), "".into()), ("lo".into(), "of a namespace".into())];
    b.head.hellos = vec![(3, 96)];
    b.head.secrets = vec![64, 128];
    let mut at = 100;
    let mut all = Vec::new();
    for (ts, flow, gap, len) in entries {
        let entry = Entry { ts: *ts, flow: *flow, offset: at + gap * 4, len: len * 4 };
        b.packet(&entry, 1);
        at = entry.offset + entry.len;
        all.push(entry);
    }
    b.head.segment_len = u64::from(at);
    (b, all)
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        entries in prop::collection::vec((any::<i64>(), 0..8_u32, 0..3_u32, 12..9_000_u32), 0..200)
    ) {
        let (b, all) = builder(&entries);
        let file = b.encode();
        prop_assert_eq!(file.len() as u64, b.encoded_len());
        let head = read_head(&file.as_slice(), file.len() as u64).unwrap().unwrap();
        prop_assert_eq!(&head, &b.head);
        let list = read_list(&file.as_slice(), file.len() as u64).unwrap().unwrap();
        prop_assert_eq!(Entries::new(&head, &list).collect::<Vec<_>>(), all);
    }

    #[test]
    fn damage_is_noticed(at in any::<prop::sample::Index>(), bit in 0..8) {
        let (b, _) = builder(&[(5, 1, 0, 20), (-7, 2, 1, 30)]);
        let mut file = b.encode();
        let at = at.index(file.len());
        file[at] ^= 1_u8 << bit;
        let len = file.len() as u64;
        let head = read_head(&file.as_slice(), len).unwrap();
        let list = read_list(&file.as_slice(), len).unwrap();
        prop_assert!(head.is_none() || list.is_none());
    }
}

#[test]
fn a_file_of_another_length_is_none() {
    let (b, _) = builder(&[(5, 1, 0, 20)]);
    let mut file = b.encode();
    assert!(read_head(&&file[..file.len() - 1], file.len() as u64 - 1).unwrap().is_none());
    file.push(0);
    assert!(read_head(&file.as_slice(), file.len() as u64).unwrap().is_none());
    assert!(read_head(&&[][..], 0).unwrap().is_none());
}

#[test]
fn a_list_that_leaves_the_segment_ends() {
    let (mut b, all) = builder(&[(5, 1, 0, 20), (6, 1, 0, 20)]);
    b.head.segment_len -= 4;
    assert_eq!(Entries::new(&b.head, &b.list).collect::<Vec<_>>(), all[..1]);
    b.head.flows.truncate(1);
    assert_eq!(Entries::new(&b.head, &b.list).count(), 0);
}
