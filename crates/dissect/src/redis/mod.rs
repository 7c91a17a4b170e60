//! Redis: RESP2, RESP3 and inline commands, as Redis, Valkey and their kin speak it.
//!
//! - A command and its reply are one call; replies come in the order of the commands.
//! - `failed` is true for every error reply: `WRONGTYPE` and `NOAUTH`, and also `MOVED` and `ASK`,
//!   with which a cluster sends the client elsewhere. Of a transaction, EXEC fails when one of its
//!   commands did.
//! - `client_error` is true for the errors that blame the client: not for redirections, nor where the
//!   server has no memory, no replicas or no time.
//! - `SUBSCRIBE` and its kin are answered once for each channel, which is one call. Messages, other
//!   pushes and the lines of `MONITOR` are calls without a request, whose `redis_type` is the kind
//!   of push (`message`, `invalidate`, `monitor`, ...) and whose `redis_key` is the channel.
//! - Commands after `CLIENT REPLY OFF` and `SKIP` are whole without a reply.
//! - After `PSYNC` or `SYNC` the connection carries the replication stream, which is not dissected:
//!   its bytes are counted as opaque.
//! - Secrets are never written down: passwords of AUTH, HELLO, MIGRATE and ACL SETUSER, values of
//!   secret settings in CONFIG SET and in the reply to CONFIG GET, replies that list ACL users.
//! - Values beyond the payload limit are passed over, not held; lengths stay exact.
//! - Bytes missing inside a value leave the order intact; what follows them in it is not shown. Other
//!   gaps on the server's side end all open calls with `incomplete = gap`, because it cannot be known
//!   which were answered.
//! - After a join and after such gaps the order is in doubt: pairs are held back until the client has
//!   waited for its replies several times, was quiet for a second, or says nothing more. A reply that the
//!   command cannot have, or one too many, shows that it was wrong: commands and replies are then
//!   reported by themselves.
//! - What answers a SUBSCRIBE that was not seen has its `redis_type`, without a key.
//! - Joined in the middle of a replication stream, nothing is reported: a master sends commands too.

mod answers;
mod command;
mod detect;
mod error;
mod pairing;
mod reply;
mod report;
mod request;
mod resp;
mod text;

use remora_model::{Protocol, Transport};

use crate::detect::Entry;

/// Registry entry.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Redis,
    transports: &[Transport::Tcp],
    ports: &[6379, 6380],
    probe: detect::probe,
    resync: detect::resync,
    start: |_, _| Box::new(pairing::Redis::new()),
};
