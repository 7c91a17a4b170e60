//! The order of both directions of a connection: nothing is shown before what it was said in reply to,
//! or before the hole that this is missing in.

use remora_model::{CloseReason, Timestamp};

use super::{Env, Feed, Flow, Lent, bounds};
use crate::Ending;

impl Flow {
    /// Lets each direction go on where the other one's progress allows it, and notes the end.
    pub(super) fn settle(&mut self, ts: Timestamp, lent: &mut Lent<'_>) {
        let Some(tcp) = self.tcp.as_deref_mut() else { return };
        let [low, high] = &mut tcp.sides;
        if low.is_waiting() || high.is_waiting() {
            // Each turn hands on at least one piece, and their number is bounded.
            while low.resume(high.reach(), ts, &mut feed!(self, lent, 0))
                || high.resume(low.reach(), ts, &mut feed!(self, lent, 1))
            {}
        }
        if low.ended() && high.ended() && self.closed.is_none() {
            self.app.forget();
            self.closed = Some(CloseReason::Fin);
            self.changed = true;
            self.tell_unknown(lent);
        }
        self.orient();
    }

    /// Gives up what has waited too long.
    pub(in crate::engine) fn expire(&mut self, now: Timestamp, lent: &mut Lent<'_>) {
        let Some(tcp) = self.tcp.as_deref_mut() else { return };
        let bounds = bounds(lent.limits);
        // Each turn gives up a part of a hole at least.
        loop {
            let [low, high] = &mut tcp.sides;
            let a = low.expire(now, high.reach(), &bounds, &mut feed!(self, lent, 0));
            let b = high.expire(now, low.reach(), &bounds, &mut feed!(self, lent, 1));
            if !a && !b {
                break;
            }
            self.changed = true;
            while low.resume(high.reach(), now, &mut feed!(self, lent, 0))
                || high.resume(low.reach(), now, &mut feed!(self, lent, 1))
            {}
        }
        self.settle(now, lent);
        let Some(tcp) = self.tcp.as_deref_mut() else { return };
        let [low, high] = &mut tcp.sides;
        let a = low.part(now, high.reach(), &bounds, &mut feed!(self, lent, 0));
        let b = high.part(now, low.reach(), &bounds, &mut feed!(self, lent, 1));
        if a || b {
            self.changed = true;
            self.settle(now, lent);
        }
    }

    /// Hands on everything that waits, with its holes, and the end of both streams.
    pub(super) fn finish(&mut self, how: Ending, lent: &mut Lent<'_>) {
        let order = [self.client, 1 - self.client];
        let Some(tcp) = self.tcp.as_deref_mut() else { return };
        // As if time had passed. Each turn hands on a piece or gives up a hole, and their number is bounded.
        loop {
            let mut moved = false;
            for dir in order {
                let peer = tcp.sides[1 - dir].reach();
                moved |= tcp.sides[dir].go_on(peer, &mut feed!(self, lent, dir));
            }
            let gave_up = !moved
                && order.iter().any(|&dir| {
                    let peer = tcp.sides[1 - dir].reach();
                    tcp.sides[dir].skip_hole(peer, &mut feed!(self, lent, dir))
                });
            if !moved && !gave_up {
                break;
            }
        }
        // The client's stream first: what waits in the server's may answer it.
        for dir in order {
            tcp.sides[dir].finish(how, &mut feed!(self, lent, dir));
        }
    }
}
