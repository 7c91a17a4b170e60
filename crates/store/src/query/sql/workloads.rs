//! The view `workloads`: who took part in calls, on either side.

use std::collections::BTreeSet;

use super::{SqlQuery, views};
use crate::Result;
use crate::query::engine::Session;

/// Its name.
pub(super) const NAME: &str = "workloads";

/// Columns of `calls` that it is made of.
const COLUMNS: &[&str] = &[
    "ts",
    "node_name",
    "protocol",
    "failed",
    "src_name",
    "src_ip",
    "src_process",
    "src_container_id",
    "src_cgroup",
    "dst_name",
    "dst_ip",
    "dst_process",
    "dst_container_id",
    "dst_cgroup",
];

/// One row for each name, with the process, container and cgroup behind it as far as they are known.
const TEXT: &str = "SELECT name, node_name, process_name, container_id, cgroup, min(ip) AS ip, count(DISTINCT ip) AS addresses, \
    string_agg(DISTINCT protocol, ', ' ORDER BY protocol) AS protocols, sum(made) AS calls_made, sum(served) AS calls_served, \
    sum(bad) AS failed_served, min(since) AS first_seen, max(until) AS last_seen FROM ( \
    SELECT coalesce(src_name, src_ip) AS name, node_name, src_process AS process_name, src_container_id AS container_id, src_cgroup AS cgroup, \
      src_ip AS ip, protocol, count(*) AS made, 0 AS served, 0 AS bad, min(ts) AS since, max(ts) AS until \
      FROM calls GROUP BY src_name, node_name, src_process, src_container_id, src_cgroup, src_ip, protocol \
    UNION ALL \
    SELECT coalesce(dst_name, dst_ip), node_name, dst_process, dst_container_id, dst_cgroup, dst_ip, protocol, 0, count(*), \
      count(*) FILTER (WHERE failed), min(ts), max(ts) \
      FROM calls GROUP BY dst_name, node_name, dst_process, dst_container_id, dst_cgroup, dst_ip, protocol) \
    GROUP BY name, node_name, process_name, container_id, cgroup";

/// Makes the views of these names known to the session, this one too.
pub(super) async fn register(
    session: &Session,
    wanted: &BTreeSet<String>,
    only: Option<&BTreeSet<String>>,
    query: &SqlQuery,
) -> Result<()> {
    if !wanted.contains(NAME) {
        return views::register(session, wanted, only, query);
    }
    let own = COLUMNS.iter().map(|c| (*c).to_owned());
    let only = only.map(|only| only.iter().cloned().chain(own).collect());
    let wanted = wanted.iter().cloned().chain(["calls".to_owned()]).collect();
    views::register(session, &wanted, only.as_ref(), query)?;
    let view = session.context.sql(TEXT).await.map_err(|e| session.error(&e))?;
    let known = session.context.deregister_table(NAME);
    let known = known.and_then(|_| session.context.register_table(NAME, view.into_view()));
    known.map(drop).map_err(|e| session.error(&e))
}
