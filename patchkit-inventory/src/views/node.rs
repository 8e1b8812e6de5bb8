//! Nodes, and what is on them.

use super::{Dialect, View, boolean, text, time, word};

pub(super) const NODES: View = View {
    name: "nodes",
    about: "every node of which the lake holds any object, live or not",
    columns: &[
        text("account_id", "the account"),
        text("region", "the Region"),
        text("node_id", "the node's id: i-…, mi-…"),
        text("liveness", "active, connection_lost, stopped, terminated or unknown"),
        boolean("is_live", "whether it counts as live: active or connection_lost"),
        text("node_kind", "EC2Instance or ManagedInstance"),
        text("computer_name", "the computer's own name"),
        text("platform_type", "Linux, Windows, MacOS"),
        text("platform_name", "the operating system as the agent names it"),
        text("platform_version", "its version"),
        text("agent_version", "the version of the agent"),
        text("ip_address", "its private address"),
        time("captured_at", "when the service wrote this"),
    ],
    sql: nodes,
};

fn nodes(dialect: Dialect) -> String {
    let captured = dialect.time("capture_time");
    let liveness = word::liveness("instance_status");
    let known = dialect.known_nodes();
    let is_live = word::is_live("told.liveness");
    // Two syncs may write one node under two prefixes: the newer row counts, and of one time the one
    // that says less of being alive.
    format!(
        "SELECT known.account_id, known.region, known.node_id, \
         coalesce(told.liveness, 'unknown') AS liveness, {is_live} AS is_live, \
         told.resource_type AS node_kind, told.computer_name, told.platform_type, \
         told.platform_name, told.platform_version, told.agent_version, told.ip_address, \
         told.captured_at \
         FROM {known} AS known LEFT JOIN (SELECT * FROM (SELECT *, row_number() OVER (\
         PARTITION BY account_id, region, node_id ORDER BY captured_at DESC NULLS LAST, \
         CASE liveness WHEN 'active' THEN 0 WHEN 'connection_lost' THEN 1 WHEN 'stopped' THEN 2 \
         WHEN 'terminated' THEN 3 ELSE 4 END DESC) AS place FROM (\
         SELECT account_id, region, node_id, {liveness} AS liveness, resource_type, \
         computer_name, platform_type, platform_name, platform_version, agent_version, \
         ip_address, {captured} AS captured_at FROM aws_instance_information)) \
         WHERE place = 1) AS told \
         ON told.account_id = known.account_id AND told.region = known.region \
         AND told.node_id = known.node_id"
    )
}

pub(super) const APPLICATIONS: View = View {
    name: "applications",
    about: "every application of every node, with the node's liveness",
    columns: &[
        text("account_id", "the account"),
        text("region", "the Region"),
        text("node_id", "the node's id"),
        text("liveness", "whether the node still exists"),
        boolean("is_live", "whether the node counts as live"),
        text("computer_name", "the computer's own name"),
        text("platform_name", "the node's operating system"),
        text("name", "the package or program"),
        text("epoch", "RPM's epoch"),
        text("version", "its version; of a Debian package whole, with epoch and revision"),
        text("release", "RPM's release"),
        text("architecture", "its architecture"),
        text("application_type", "what the agent calls the kind of application"),
        text("publisher", "who made it"),
        text("installed_time", "when it was installed, as it is spelled"),
    ],
    sql: |dialect| {
        let on = "nodes.account_id = app.account_id AND nodes.region = app.region \
                  AND nodes.node_id = app.node_id";
        format!(
            "SELECT app.account_id, app.region, app.node_id, \
             coalesce(nodes.liveness, 'unknown') AS liveness, \
             coalesce(nodes.is_live, false) AS is_live, nodes.computer_name, \
             nodes.platform_name, app.name, app.epoch, app.version, app.release, \
             app.architecture, app.application_type, app.publisher, app.installed_time FROM {}",
            dialect.outer_join("aws_application AS app", "nodes", on)
        )
    },
};

pub(super) const PATCH_GROUPS: View = View {
    name: "tagged_patch_groups",
    about: "the patch group that a node's tags name, where they name one",
    columns: &[
        text("account_id", "the account"),
        text("region", "the Region"),
        text("node_id", "the node's id"),
        text("patch_group", "the group"),
    ],
    // A node with both tags and two values is in no group that can be known.
    sql: |_| {
        "SELECT account_id, region, node_id, min(value) AS patch_group FROM aws_tag \
         WHERE key IN ('Patch Group', 'PatchGroup') AND value IS NOT NULL \
         GROUP BY account_id, region, node_id HAVING min(value) = max(value)"
            .to_owned()
    },
};
