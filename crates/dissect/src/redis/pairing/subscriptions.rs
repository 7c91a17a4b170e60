//! What a server sends that is no plain reply: the replies to SUBSCRIBE and its kin, and pushes.

use remora_model::Incomplete;

use super::{Pending, Redis};
use crate::redis::{
    detect,
    report::{self, Answer, Push},
    request::Effect,
    resp::Kind,
};
use crate::{Context, seen::Seen};

impl Redis {
    /// One of the replies to a SUBSCRIBE or its kin.
    pub(super) fn subscription(&mut self, seen: Seen, left: Option<u64>, cx: &mut Context<'_>) {
        let others = self.count_subscriptions();
        let text_budget = cx.limits.payload;
        let Some(p) = self.pending.front_mut() else { return };
        let before = p.memory();
        match &mut p.answered {
            Some(total) => {
                total.last = seen.last;
                total.bytes = total.bytes.saturating_add(seen.bytes);
                p.replies.push(b'\n');
            }
            none => *none = Some(seen),
        }
        let room = text_budget.saturating_sub(p.replies.len());
        p.replies.extend(self.reply.text().iter().take(room));
        let left = left.map(|n| n.saturating_sub(1));
        if let Effect::Subscribe { left: l, .. } = &mut p.effect {
            *l = left;
        }
        self.held = (self.held + p.memory()).saturating_sub(before);
        // Without channels, all subscriptions of the kind end; the count that remains says when.
        let last = left.map_or_else(
            || self.reply.head_number(2).is_none_or(|n| n <= others) || self.reply.head(1).is_none(),
            |n| n == 0,
        );
        if last {
            self.finish_subscription(cx);
        }
    }

    /// Reports the command in front with the replies that it has got.
    pub(super) fn finish_subscription(&mut self, cx: &mut Context<'_>) {
        if let Some(p) = self.pop() {
            self.finish_without_reply(p, Incomplete::Truncated, cx);
        }
    }

    /// Reports a command that gets no more replies: `why` unless it has got all.
    pub(super) fn finish_without_reply(&mut self, p: Pending, why: Incomplete, cx: &mut Context<'_>) {
        let answer = p.answered.map(|seen| Answer {
            seen,
            text: &p.replies,
            type_name: self.reply.type_name(),
            error: None,
        });
        let all = answer.is_some() && matches!(p.effect, Effect::Subscribe { left: None | Some(0), .. });
        let why = match why {
            Incomplete::NoResponse if answer.is_some() => Incomplete::Truncated,
            why => why,
        };
        let incomplete = p.incomplete.or(if all { None } else { Some(why) });
        if all && self.is_tentative() {
            let type_name = self.reply.type_name();
            return self.keep(Pending { type_name, incomplete, ..p }, cx);
        }
        report::emit(Some((&p.shown, p.seen)), None, answer, incomplete, cx);
        self.recycle(p);
    }

    /// Notes what a reply to SUBSCRIBE or its kin says of the subscriptions. Returns how many of
    /// another kind are in the same count.
    fn count_subscriptions(&mut self) -> u64 {
        let Some(count) = self.reply.head_number(2) else { return 0 };
        let [channels, patterns, shards] = &mut self.subscribed;
        // Channels and patterns are counted together, shard channels by themselves.
        let (kind, others) = match self.reply.head(0) {
            Some(b"subscribe" | b"unsubscribe") => (channels, *patterns),
            Some(b"psubscribe" | b"punsubscribe") => (patterns, *channels),
            _ => (shards, 0),
        };
        *kind = count.saturating_sub(others);
        others
    }

    /// True when `self.reply` answers no command.
    pub(super) fn is_push(&self) -> bool {
        let idle = self.pending.is_empty() && self.unrecorded == 0;
        let word = self.reply.head(0).unwrap_or_default();
        let awaited = matches!(self.front(), Effect::Subscribe { word: w, .. } if w.as_bytes() == word);
        match self.reply.kind() {
            Some(Kind::Push) => !awaited,
            Some(Kind::Array) if idle || self.subscribed != [0; 3] || self.doubt.is_some() => {
                match (word, self.reply.items()) {
                    (b"message" | b"smessage", Some(3)) | (b"pmessage", Some(4)) => true,
                    (_, Some(3)) => {
                        !awaited && word.ends_with(b"subscribe") && self.reply.head_number(2).is_some()
                    }
                    _ => false,
                }
            }
            Some(Kind::Simple) => (self.monitor || idle) && detect::is_monitor_line(self.reply.text()),
            _ => false,
        }
    }

    /// Reports `self.reply` as a push.
    pub(super) fn push(&mut self, seen: Seen, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        let word = self.reply.head(0).unwrap_or_default();
        if word.ends_with(b"subscribe") {
            self.count_subscriptions();
            return self.unasked(seen, incomplete, cx);
        }
        let monitor = self.reply.kind() == Some(Kind::Simple);
        let word = if monitor { b"monitor" } else { word };
        let key = match word {
            b"monitor" => None,
            // The pattern comes first.
            b"pmessage" => self.reply.head(2),
            _ => self.reply.head(1),
        };
        let answer = Answer { type_name: Some("push"), error: None, ..self.answer(seen) };
        report::emit(None, Some(Push { kind: word, key }), Some(answer), incomplete, cx);
    }

    /// Reports what looks like a reply to SUBSCRIBE or its kin and was not asked for. Servers end
    /// subscriptions by themselves (to shard channels that move away), but nothing else: that answers a
    /// command that was not seen, of which the channel may not be the first.
    fn unasked(&mut self, seen: Seen, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        let sharded = self.reply.head(0) == Some(b"sunsubscribe");
        if sharded && self.doubt.is_none() {
            let answer = Answer { type_name: Some("push"), error: None, ..self.answer(seen) };
            let push = Push { kind: b"sunsubscribe", key: self.reply.head(1) };
            return report::emit(None, Some(push), Some(answer), incomplete, cx);
        }
        if !sharded {
            self.misheard(seen.last, cx);
        }
        let mut upper = [0; 16];
        let word = self.reply.head(0).unwrap_or_default();
        let name = upper.get_mut(..word.len()).unwrap_or_default();
        if name.len() == word.len() {
            name.copy_from_slice(word);
            name.make_ascii_uppercase();
        }
        let push = Some(Push { kind: name, key: None }).filter(|p| !sharded && !p.kind.is_empty());
        let incomplete = incomplete.or(Some(Incomplete::NoRequest));
        report::emit(None, push, Some(self.answer(seen)), incomplete, cx);
    }
}
