use super::Seq;

#[test]
fn distances_wrap() {
    let near_end = Seq(u32::MAX - 1);
    assert_eq!(near_end.plus(4), Seq(2));
    assert_eq!(Seq(2).since(near_end), 4);
    assert_eq!(near_end.since(Seq(2)), -4);
    assert_eq!(Seq(2).ahead_of(near_end), 4);
    assert_eq!(near_end.ahead_of(Seq(2)), 0);
    assert_eq!(near_end.earlier(Seq(2)), near_end);
}
