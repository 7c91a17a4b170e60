//! Holdings: who had an address or a port, and between which instants.

use std::sync::Arc;

use remora_model::Timestamp;

/// No bound.
pub(crate) const FOREVER: Timestamp = Timestamp(i64::MAX);

/// Who holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// The pod of this uid.
    Pod(Arc<str>),
    /// The service of this namespace and name.
    Service(Arc<str>, Arc<str>),
    /// The node of this name.
    Node(Arc<str>),
}

/// Until when it is known that what is not known to have ended goes on, for each kind of holder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Horizon {
    pub(crate) pods: Timestamp,
    pub(crate) services: Timestamp,
    pub(crate) nodes: Timestamp,
}

/// A holding. It began in `[began_after, began_by]` and ended in `[ended_after, ended_by]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) holder: Holder,
    pub(crate) began_after: Timestamp,
    pub(crate) began_by: Timestamp,
    pub(crate) ended_after: Timestamp,
    pub(crate) ended_by: Timestamp,
    /// Nothing says that it is about to end.
    pub(crate) lasting: bool,
}

impl Hold {
    /// True when it is not known to have ended.
    pub(crate) fn is_open(&self) -> bool {
        self.ended_by == FOREVER
    }

    /// With the instant after which it ended as it follows from its not being known to have ended.
    fn as_of(&self, horizon: Horizon) -> Self {
        let mut hold = self.clone();
        if self.is_open() && self.lasting {
            let until = match self.holder {
                Holder::Pod(_) => horizon.pods,
                Holder::Service(..) => horizon.services,
                Holder::Node(_) => horizon.nodes,
            };
            hold.ended_after = hold.ended_after.max(until);
        }
        hold
    }

    /// True when nothing is in doubt at `t`.
    fn is_certain(&self, t: Timestamp) -> bool {
        self.began_by <= t && t <= self.ended_after
    }

    fn is_possible(&self, t: Timestamp) -> bool {
        self.began_after <= t && t <= self.ended_by
    }

    /// True when it ended before the other began: the other was still there when this one had begun,
    /// and there is one at a time. Where that says both were before each other, something that is
    /// assumed of clocks is wrong, and nothing is said.
    fn is_before(&self, other: &Self) -> bool {
        other.ended_after >= self.began_by && self.ended_after < other.began_by
    }

    /// Takes up what else is known of the same holding.
    pub(crate) fn join(&mut self, began_by: Timestamp, ended_after: Timestamp) {
        self.began_by = self.began_by.min(began_by);
        self.ended_after = self.ended_after.max(ended_after);
    }
}

/// Who held something at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Nobody who is known.
    Nobody,
    /// This one, if everybody who could have had it is known.
    One(Hold),
    /// This one.
    Certain(Hold),
    /// One of several.
    Several,
}

/// The holdings of one thing, which has one holder at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holds {
    all: Vec<Hold>,
}

impl Holds {
    /// The open holding of that holder, or the last one.
    pub(crate) fn of(&mut self, holder: &Holder) -> Option<&mut Hold> {
        self.all.iter_mut().filter(|h| h.holder == *holder).max_by_key(|h| (h.ended_by, h.began_by))
    }

    /// Adds a holding; true when one had to go for it.
    pub(crate) fn add(&mut self, hold: Hold, max: usize) -> bool {
        self.all.push(hold);
        let full = self.all.len() > max.max(1);
        if full
            && let Some(i) = (0..self.all.len()).min_by_key(|&i| (self.all[i].ended_by, self.all[i].began_by))
        {
            self.all.remove(i);
        }
        full
    }

    /// Forgets the holdings of that holder; true when none is left at all.
    pub(crate) fn forget(&mut self, holder: &Holder) -> bool {
        self.all.retain(|h| h.holder != *holder);
        self.all.is_empty()
    }

    /// Who held it at `t`. What lies beyond `around` may have another answer.
    pub(crate) fn at(&self, t: Timestamp, horizon: Horizon, around: &mut (Timestamp, Timestamp)) -> Held {
        let all: Vec<Hold> = self.all.iter().map(|h| h.as_of(horizon)).collect();
        for edge in all.iter().flat_map(|h| [h.began_after, h.began_by, h.ended_after, h.ended_by]) {
            narrow(around, edge, t);
        }
        let mut certain = all.iter().filter(|h| h.is_certain(t));
        match (certain.next(), certain.next()) {
            (Some(one), None) => return Held::Certain(one.clone()),
            (Some(_), Some(_)) => return Held::Several,
            _ => {}
        }
        // Before one holding can have ended none that follows it began, and the other way round.
        let excluded = |h: &Hold| {
            let by = |o: &Hold| (h.is_before(o) && o.began_by <= t) || (o.is_before(h) && t <= o.ended_after);
            all.iter().any(by)
        };
        let mut possible = all.iter().filter(|h| h.is_possible(t) && !excluded(h));
        match (possible.next(), possible.next()) {
            (None, _) => Held::Nobody,
            (Some(one), None) => Held::One(one.clone()),
            // The same holder let go and took it again in between.
            (Some(a), Some(b)) if a.holder == b.holder && possible.all(|o| o.holder == a.holder) => {
                Held::One(a.clone())
            }
            _ => Held::Several,
        }
    }
}

/// Cuts what lies beyond an instant at which something changes. The instant itself belongs to no
/// side for certain, so both sides leave it out.
pub(crate) fn narrow(around: &mut (Timestamp, Timestamp), edge: Timestamp, t: Timestamp) {
    if edge <= t {
        around.0 = around.0.max(edge);
    }
    if edge >= t {
        around.1 = around.1.min(edge);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(who: &str, bounds: [i64; 4]) -> Hold {
        let [a, b, c, d] = bounds.map(Timestamp);
        Hold {
            holder: Holder::Pod(who.into()),
            began_after: a,
            began_by: b,
            ended_after: c,
            ended_by: d,
            lasting: false,
        }
    }

    const EARLY: Horizon = Horizon { pods: Timestamp(0), services: Timestamp(0), nodes: Timestamp(0) };

    fn at(holds: &Holds, t: i64) -> String {
        around(holds, t).0
    }

    fn around(holds: &Holds, t: i64) -> (String, (Timestamp, Timestamp)) {
        let mut around = (Timestamp(i64::MIN), FOREVER);
        let held = match holds.at(Timestamp(t), EARLY, &mut around) {
            Held::Nobody => "nobody".to_owned(),
            Held::Several => "several".to_owned(),
            Held::One(Hold { holder: Holder::Pod(p), .. }) => format!("{p}?"),
            Held::Certain(Hold { holder: Holder::Pod(p), .. }) => p.to_string(),
            other => format!("{other:?}"),
        };
        (held, around)
    }

    #[test]
    fn what_is_not_known_to_have_ended_lasts_until_the_horizon() {
        let mut holds = Holds::default();
        holds.add(Hold { lasting: true, ..hold("a", [0, 10, 50, i64::MAX]) }, 8);
        let late = Horizon { pods: Timestamp(90), ..EARLY };
        let certain = |t| {
            let mut around = (Timestamp(i64::MIN), FOREVER);
            matches!(holds.at(Timestamp(t), late, &mut around), Held::Certain(_))
        };
        assert!(certain(90) && !certain(91) && at(&holds, 90) == "a?");
    }

    #[test]
    fn one_after_the_other() {
        let mut holds = Holds::default();
        holds.add(hold("a", [0, 10, 50, 70]), 8);
        holds.add(hold("b", [55, 65, 80, i64::MAX]), 8);
        let said: Vec<String> =
            [-1, 5, 10, 50, 52, 60, 65, 66, 80, 1_000].iter().map(|t| at(&holds, *t)).collect();
        assert_eq!(said, ["nobody", "a?", "a", "a", "a?", "several", "b", "b", "b", "b?"]);
    }

    #[test]
    fn an_end_that_was_not_seen_yet_is_told_by_who_follows() {
        let mut holds = Holds::default();
        holds.add(hold("a", [0, 10, 50, i64::MAX]), 8);
        assert_eq!(at(&holds, 100), "a?");
        holds.add(hold("b", [90, 95, 110, i64::MAX]), 8);
        assert_eq!([80, 92, 100, 120].map(|t| at(&holds, t)), ["a?", "several", "b", "b?"]);
    }

    #[test]
    fn a_contradiction_is_nobodys() {
        let mut holds = Holds::default();
        // Known late of the beginning, early of the end.
        holds.add(hold("a", [0, 99, 30, 100]), 8);
        holds.add(hold("b", [0, 98, 98, i64::MAX]), 8);
        assert_eq!([50, 98, 101].map(|t| at(&holds, t)), ["several", "b", "b?"]);
        holds.add(hold("c", [0, 10, 200, 210]), 8);
        assert_eq!(at(&holds, 98), "several");
    }

    #[test]
    fn there_are_at_most_so_many() {
        let mut holds = Holds::default();
        let fulls = (0..10).filter(|i| holds.add(hold("a", [*i, *i, *i, *i + 1]), 4)).count();
        assert_eq!((fulls, holds.all.len()), (6, 4));
        assert_eq!(holds.all[0].began_by, Timestamp(6));
        assert!(holds.forget(&Holder::Pod("a".into())));
    }

    #[test]
    fn nothing_changes_between_edges() {
        let mut holds = Holds::default();
        holds.add(hold("a", [0, 10, 50, 70]), 8);
        holds.add(hold("b", [55, 65, 80, i64::MAX]), 8);
        for t in -5..120 {
            let (_, (from, to)) = around(&holds, t);
            for other in from.0.max(-5) + 1..to.0.min(120) {
                assert_eq!(at(&holds, other), at(&holds, t), "{other} and {t} in {from:?}..{to:?}");
            }
        }
    }
}
