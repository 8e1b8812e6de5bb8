//! Verdicts on nodes, and the patches and associations behind them.

use super::{Dialect, View, ViewColumn, boolean, integer, text, time, word};

/// The counts of `AWS:PatchSummary` that make a node not compliant where any is above zero.
const WRONG: [&str; 7] = [
    "installed_pending_reboot_count",
    "installed_rejected_count",
    "missing_count",
    "failed_count",
    "critical_non_compliant_count",
    "security_non_compliant_count",
    "other_non_compliant_count",
];

/// All counts of `AWS:PatchSummary`, as rows spell them. One that is there and is no number may have
/// been any of those above: such a row says nothing good.
const COUNTS: [&str; 11] = [
    "InstalledCount",
    "InstalledOtherCount",
    "InstalledPendingRebootCount",
    "InstalledRejectedCount",
    "MissingCount",
    "FailedCount",
    "NotApplicableCount",
    "AvailableSecurityUpdateCount",
    "CriticalNonCompliantCount",
    "SecurityNonCompliantCount",
    "OtherNonCompliantCount",
];

/// What rows of one node are joined by.
fn same_node(a: &str, b: &str) -> String {
    format!(
        "{a}.account_id = {b}.account_id AND {a}.region = {b}.region AND {a}.node_id = {b}.node_id"
    )
}

/// The newest row of each node: one that says something before one that does not, and of one time
/// the worse.
fn newest(rows: &str) -> String {
    let badness = word::badness("status");
    format!(
        "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY account_id, region, node_id \
         ORDER BY is_known DESC, observed_at DESC NULLS LAST, badness DESC) AS place FROM (\
         SELECT *, {badness} AS badness, CASE status WHEN 'unknown' THEN 0 ELSE 1 END AS is_known \
         FROM ({rows}))) WHERE place = 1"
    )
}

const VERDICT_COLUMNS: &[ViewColumn] = &[
    text("account_id", "the account"),
    text("region", "the Region"),
    text("node_id", "the node's id"),
    text("status", "compliant, non_compliant or unknown"),
    text("level", "the highest level of what is wrong"),
    text("baseline_id", "the baseline that it was held against"),
    text("patch_group", "the patch group that it was held against"),
    time("observed_at", "when it was found"),
    text("source", "AWS:ComplianceSummary or AWS:PatchSummary"),
];

pub(super) const VERDICTS: View = View {
    name: "last_verdicts",
    about: "the last verdict on each node that has one, whether the node is live or not",
    columns: VERDICT_COLUMNS,
    sql: verdicts,
};

/// The newer of a node's two summaries counts.
///
/// The compliance summary is dated by the beginning of the run, the patch summary by its end. Of one
/// run neither is newer, and the worse one counts.
fn verdicts(dialect: Dialect) -> String {
    let first_time = |texts: &[&str]| {
        let times: Vec<_> = texts.iter().map(|text| dialect.time(text)).collect();
        format!("coalesce({})", times.join(", "))
    };
    let wrong = WRONG.map(|count| format!("coalesce({count}, 0) > 0")).join(" OR ");
    // Where a count cannot be read, its text is among the other fields.
    let unreadable = COUNTS.map(|count| format!("other_fields LIKE '%\"{count}\":%'")).join(" OR ");
    let compliance = newest(&format!(
        "SELECT account_id, region, node_id, {status} AS status, upper(overall_severity) AS level, \
         patch_baseline_id AS baseline_id, patch_group, {at} AS observed_at \
         FROM aws_compliance_summary WHERE upper(compliance_type) = 'PATCH'",
        status = word::status("status"),
        at = first_time(&["execution_time", "capture_time"]),
    ));
    let patch = newest(&format!(
        "SELECT account_id, region, node_id, CASE WHEN {wrong} THEN 'non_compliant' \
         WHEN other_fields IS NOT NULL AND ({unreadable}) THEN 'unknown' \
         WHEN missing_count IS NOT NULL AND failed_count IS NOT NULL THEN 'compliant' \
         ELSE 'unknown' END AS status, upper(non_compliant_severity) AS level, baseline_id, \
         patch_group, {began} AS began, {at} AS observed_at FROM aws_patch_summary",
        began = dialect.time("operation_start_time"),
        at = first_time(&["operation_end_time", "operation_start_time", "capture_time"]),
    ));
    let never = "TIMESTAMP '1970-01-01 00:00:00'";
    let columns = ["status", "level", "baseline_id", "patch_group", "observed_at"].map(|column| {
        format!("CASE WHEN takes_patch THEN p_{column} ELSE c_{column} END AS {column}")
    });
    let sides = ["status", "level", "baseline_id", "patch_group", "observed_at"]
        .map(|column| format!("c.{column} AS c_{column}, p.{column} AS p_{column}"));
    format!(
        "SELECT account_id, region, node_id, status, \
         CASE status WHEN 'non_compliant' THEN level END AS level, baseline_id, patch_group, \
         observed_at, source FROM (SELECT account_id, region, node_id, {columns}, \
         CASE WHEN takes_patch THEN 'AWS:PatchSummary' ELSE 'AWS:ComplianceSummary' END AS source \
         FROM (SELECT coalesce(c.account_id, p.account_id) AS account_id, \
         coalesce(c.region, p.region) AS region, coalesce(c.node_id, p.node_id) AS node_id, \
         {sides}, CASE WHEN c.status IS NULL THEN true WHEN p.status IS NULL THEN false \
         WHEN c.is_known = 1 AND p.is_known = 1 AND c.observed_at >= p.began \
         AND c.observed_at <= p.observed_at THEN c.badness < p.badness \
         WHEN c.is_known <> p.is_known THEN c.is_known < p.is_known \
         WHEN coalesce(c.observed_at, {never}) <> coalesce(p.observed_at, {never}) \
         THEN coalesce(c.observed_at, {never}) < coalesce(p.observed_at, {never}) \
         ELSE c.badness < p.badness END AS takes_patch \
         FROM ({compliance}) AS c FULL OUTER JOIN ({patch}) AS p ON {on})) ",
        columns = columns.join(", "),
        sides = sides.join(", "),
        on = same_node("c", "p"),
    )
}

pub(super) const PATCH_COMPLIANCE: View = View {
    name: "patch_compliance",
    about: "the verdict on the patches of every node; without its items, which are in `patches`",
    columns: &[
        text("account_id", "the account"),
        text("region", "the Region"),
        text("node_id", "the node's id"),
        text("liveness", "whether the node still exists"),
        boolean("is_live", "whether it counts as live"),
        text("computer_name", "the computer's own name"),
        text("platform_name", "its operating system"),
        text("platform_version", "its version"),
        text("status", "the verdict that counts: of a node that is not live, unknown"),
        text("last_status", "the last verdict, whether the node is live or not"),
        text("level", "the highest level of what is wrong"),
        text("baseline_id", "the baseline that it was held against"),
        text("patch_group", "the patch group: held against, or else named by its tags"),
        time("observed_at", "when that was found"),
    ],
    sql: |_| {
        format!(
            "SELECT nodes.account_id, nodes.region, nodes.node_id, nodes.liveness, nodes.is_live, \
             nodes.computer_name, nodes.platform_name, nodes.platform_version, \
             CASE WHEN nodes.is_live THEN coalesce(verdict.status, 'unknown') \
             ELSE 'unknown' END AS status, \
             coalesce(verdict.status, 'unknown') AS last_status, verdict.level, \
             verdict.baseline_id, \
             coalesce(verdict.patch_group, tagged.patch_group) AS patch_group, \
             verdict.observed_at FROM nodes LEFT JOIN last_verdicts AS verdict ON {} \
             LEFT JOIN tagged_patch_groups AS tagged ON {}",
            same_node("verdict", "nodes"),
            same_node("tagged", "nodes"),
        )
    },
};

pub(super) const BY_GROUP: View = View {
    name: "compliance_by_group",
    about: "nodes counted by status, in groups of account, Region, platform and patch group",
    columns: &[
        text("account_id", "the account"),
        text("region", "the Region"),
        text("platform_name", "the operating system; null where it is not known"),
        text("patch_group", "the patch group; null where there is none that is known"),
        integer("compliant", "live and compliant"),
        integer("non_compliant", "live and not compliant"),
        integer("unknown", "live and without data, or not known to be live"),
        integer("stopped", "stopped; in none of the others"),
        integer("terminated", "terminated; in none of the others"),
    ],
    sql: |_| {
        let gone = "liveness NOT IN ('stopped', 'terminated')";
        let counts = ["compliant", "non_compliant", "unknown"].map(|status| {
            format!("count(*) FILTER (WHERE {gone} AND status = '{status}') AS {status}")
        });
        let off = ["stopped", "terminated"]
            .map(|word| format!("count(*) FILTER (WHERE liveness = '{word}') AS {word}"));
        format!(
            "SELECT account_id, region, platform_name, patch_group, {}, {} FROM patch_compliance \
             GROUP BY account_id, region, platform_name, patch_group",
            counts.join(", "),
            off.join(", ")
        )
    },
};

/// The columns that the items of every kind have, up to the item itself.
macro_rules! item_columns {
    ($($more:expr),+ $(,)?) => {
        &[
            text("account_id", "the account"),
            text("region", "the Region"),
            text("node_id", "the node's id"),
            text("liveness", "whether the node still exists"),
            boolean("is_live", "whether it counts as live"),
            text("computer_name", "the computer's own name"),
            $($more),+
        ]
    };
}

/// The items of one kind, joined with their nodes.
fn items(dialect: Dialect, kind: &str, status: &str, columns: &str) -> String {
    format!(
        "SELECT item.account_id, item.region, item.node_id, \
         coalesce(nodes.liveness, 'unknown') AS liveness, \
         coalesce(nodes.is_live, false) AS is_live, nodes.computer_name, {columns}, \
         CASE WHEN coalesce(nodes.is_live, false) THEN {status} ELSE 'unknown' END AS status \
         FROM {joined} WHERE upper(item.compliance_type) = '{kind}'",
        joined =
            dialect.outer_join("aws_compliance_item AS item", "nodes", &same_node("nodes", "item")),
    )
}

pub(super) const PATCHES: View = View {
    name: "patches",
    about: "every patch of every node: the compliance items of type Patch",
    columns: item_columns![
        text("patch_id", "KB5031361, openssl.x86_64:1:3.0.7-28.el9"),
        text("title", "its title"),
        text("state", "INSTALLED, MISSING, …; one that is not known as it came"),
        text("level", "the level that the baseline gives it"),
        text("classification", "what kind of patch it is"),
        text("severity", "the vendor's severity"),
        text("baseline_id", "the baseline that it was held against"),
        text("patch_group", "the patch group that it was held against"),
        text("cve_ids", "the vulnerabilities it mends, with commas between them"),
        time("installed_at", "when it was installed"),
        time("observed_at", "when that was found"),
        text("status", "the verdict that counts: of a node that is not live, unknown"),
    ],
    sql: |dialect| {
        let state = word::state("item.patch_state");
        let own = word::status("item.status");
        let status =
            format!("CASE WHEN {own} <> 'unknown' THEN {own} ELSE {} END", word::meaning(&state));
        let installed = dialect.time("item.installed_time");
        let found = [dialect.time("item.execution_time"), dialect.time("item.capture_time")];
        // AWS user guide: a missing patch carries 1970-01-01.
        let columns = format!(
            "coalesce(item.id, item.title) AS patch_id, item.title, {state} AS state, \
             upper(item.severity) AS level, item.classification, \
             item.patch_severity AS severity, item.patch_baseline_id AS baseline_id, \
             item.patch_group, item.cve_ids, \
             CASE WHEN {installed} > TIMESTAMP '1970-01-01 00:00:00' THEN {installed} END \
             AS installed_at, coalesce({}) AS observed_at",
            found.join(", ")
        );
        items(dialect, "PATCH", &status, &columns)
    },
};

pub(super) const ASSOCIATIONS: View = View {
    name: "associations",
    about: "every association of every node: the compliance items of type Association",
    columns: item_columns![
        text("association_id", "the association"),
        text("title", "its title"),
        text("level", "the level that it was given"),
        text("document_name", "the document it runs"),
        text("document_version", "its version"),
        text("detail", "what the service adds"),
        time("observed_at", "when that was found"),
        text("status", "the verdict that counts: of a node that is not live, unknown"),
    ],
    sql: |dialect| {
        let found = [dialect.time("item.execution_time"), dialect.time("item.capture_time")];
        let columns = format!(
            "item.id AS association_id, item.title, upper(item.severity) AS level, \
             item.document_name, item.document_version, item.detailed_text AS detail, \
             coalesce({}) AS observed_at",
            found.join(", ")
        );
        items(dialect, "ASSOCIATION", &word::status("item.status"), &columns)
    },
};
