//! What is said of a flow whose protocol was not recognised.

use remora_model::CloseReason;

use super::super::unknown::{self, About, Failure};
use super::{Env, Flow, Lent};

impl Flow {
    /// Reports a flow that is over, if nothing else was said of it and there is something to say: data, or
    /// a failure.
    pub(super) fn tell_unknown(&mut self, lent: &mut Lent<'_>) {
        let failure = self.failure();
        if self.has_payload || failure.is_some() {
            self.tell(failure, lent);
        }
    }

    /// Reports a flow that goes on, once it has done so for as long as an answer is waited for.
    pub(super) fn tell_unknown_so_far(&mut self, lent: &mut Lent<'_>) {
        if !self.told
            && self.closed.is_none()
            && self.has_payload
            && self.app.is_opaque()
            && self.first_seen.plus(lent.limits.response_wait) <= self.last_seen
        {
            self.tell(None, lent);
        }
    }

    fn tell(&mut self, failure: Option<Failure>, lent: &mut Lent<'_>) {
        if self.told || self.plain.is_some() || !lent.limits.unknown_entries {
            return;
        }
        self.told = true;
        let Some((first, sent)) = self.app.unknown() else { return };
        let about = About {
            client: self.client,
            sent,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            failure,
            head: self.head,
        };
        let mut env = Env {
            flow: self.id,
            transport: self.transport,
            ends: self.ends,
            source: lent.source,
            limits: lent.limits,
            tls: false,
            registry: lent.registry,
            within: lent.within,
            sink: &mut *lent.sink,
            missing: &mut self.missing,
        };
        unknown::report(first, &about, &mut env);
    }

    /// How a connection failed that is over, as far as its segments tell.
    fn failure(&self) -> Option<Failure> {
        let tcp = self.tcp.as_deref()?;
        // A capture that counts by itself leaves out the acknowledgements that open a window again.
        let sees_windows = self.has_payload && self.counts.tag() == 0;
        let full = || tcp.full.iter().position(|full| *full).filter(|_| sees_windows);
        match self.closed? {
            CloseReason::Fin => None,
            CloseReason::Reset => {
                let by = tcp.reset_by?;
                match (self.has_payload, by == self.client) {
                    (false, false) if self.opened && !tcp.answered => Some(Failure::Refused),
                    // Who only wanted to know whether somebody listens may leave like that.
                    (false, true) => None,
                    _ => Some(Failure::Reset { by }),
                }
            }
            why => {
                let silent = self.opened && !tcp.answered && !self.has_payload;
                // A SYN alone may have been captured too late for its answer.
                let waited = tcp.syns > 1 || (tcp.syns == 1 && why == CloseReason::Idle);
                match full() {
                    Some(by) => Some(Failure::Stalled { by }),
                    None if silent && waited => Some(Failure::Unanswered { syns: tcp.syns }),
                    None => None,
                }
            }
        }
    }
}
