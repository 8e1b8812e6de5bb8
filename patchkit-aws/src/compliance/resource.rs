//! The compliance of nodes by kind, and its items.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use aws_sdk_ssm::types::{
    ComplianceExecutionSummary as Execution, ComplianceItem, ComplianceQueryOperatorType,
    ComplianceSeverity, ComplianceStatus as SdkStatus, ComplianceStringFilter, CompliantSummary,
    NonCompliantSummary, ResourceComplianceSummaryItem, SeveritySummary,
};
use futures::{
    StreamExt, TryFutureExt, TryStreamExt, future,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use patchkit_core::{
    ComplianceLevel, ComplianceStatus, Fleet, NodeId, NodeSelector, Result,
    listing::{each_once, sound},
    paginate,
};
use serde::{Deserialize, Serialize};

use super::{AT_MOST, ComplianceKind};
use crate::{
    Ssm,
    client::Client,
    convert::timestamp,
    error::{PROVIDER, malformed},
};

const SUMMARIES: &str = "ListResourceComplianceSummaries";
const ITEMS: &str = "ListComplianceItems";

/// How one node does in one kind of compliance.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ResourceCompliance {
    /// The node.
    pub node: NodeId,
    /// What this is about.
    pub kind: ComplianceKind,
    /// The verdict.
    pub status: ComplianceStatus,
    /// The highest level among what is wrong, where the service says one.
    pub level: Option<ComplianceLevel>,
    /// The items that are as wanted.
    pub compliant: LevelCounts,
    /// The items that are not.
    pub non_compliant: LevelCounts,
    /// When this was found out.
    pub at: Option<Timestamp>,
    /// The command, or whatever else found it out.
    pub execution: Option<String>,
    /// What kind of thing that was: `Command`, `PatchPolicy`.
    pub execution_kind: Option<String>,
}

/// How many items there are of each level.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(default)]
pub struct LevelCounts {
    /// Of all levels.
    pub total: u32,
    /// Critical ones.
    pub critical: u32,
    /// High ones.
    pub high: u32,
    /// Medium ones.
    pub medium: u32,
    /// Low ones.
    pub low: u32,
    /// Those that are good to know.
    pub informational: u32,
    /// Those without a level.
    pub unspecified: u32,
}

impl LevelCounts {
    /// How many items are of one level.
    pub fn of(&self, level: ComplianceLevel) -> u32 {
        match level {
            ComplianceLevel::Critical => self.critical,
            ComplianceLevel::High => self.high,
            ComplianceLevel::Medium => self.medium,
            ComplianceLevel::Low => self.low,
            ComplianceLevel::Informational => self.informational,
            ComplianceLevel::Unspecified => self.unspecified,
        }
    }

    fn read(total: Option<i32>, severities: Option<&SeveritySummary>) -> Self {
        let count = |it: i32| u32::try_from(it).unwrap_or(0);
        let mut counts = Self { total: total.map_or(0, count), ..Self::default() };
        if let Some(told) = severities {
            counts.critical = count(told.critical_count());
            counts.high = count(told.high_count());
            counts.medium = count(told.medium_count());
            counts.low = count(told.low_count());
            counts.informational = count(told.informational_count());
            counts.unspecified = count(told.unspecified_count());
        }
        counts
    }
}

/// One thing that a node was held against: a patch, an association, or what someone put there.
/// Its texts come from the node, or from whoever put it there: untrusted, escape before showing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ComplianceEntry {
    /// Its id within the kind: the patch's, the association's.
    pub id: String,
    /// Its title.
    pub title: Option<String>,
    /// The verdict; `Unknown` where the service gives none, as for patches that are not applicable
    /// on Windows.
    pub status: ComplianceStatus,
    /// How much it matters.
    pub level: ComplianceLevel,
    /// What else is told of it.
    pub details: BTreeMap<String, String>,
    /// When this was found out.
    pub at: Option<Timestamp>,
}

impl ComplianceEntry {
    /// A thing that a node was held against, without title, level and details.
    pub fn new(id: impl Into<String>, status: ComplianceStatus) -> Self {
        Self {
            id: id.into(),
            title: None,
            status,
            level: ComplianceLevel::Unspecified,
            details: BTreeMap::new(),
            at: None,
        }
    }

    /// Sets its title.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Sets how much it matters.
    #[must_use]
    pub fn with_level(mut self, level: ComplianceLevel) -> Self {
        self.level = level;
        self
    }

    /// Adds to what is told of it.
    #[must_use]
    pub fn with_detail(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.details.insert(name.into(), value.into());
        self
    }
}

impl Ssm {
    /// Lists how the nodes that `selector` takes do, in every kind of compliance that they have.
    ///
    /// # Behavior
    /// - Fifty rows in a call; a node comes once for each kind that anything is known of.
    /// - A node of which nothing is known does not come: no data is no verdict.
    /// - A selector by anything but ids lists the nodes first.
    /// - Rows that cannot be read are one error, the last.
    ///
    /// # Errors
    /// `PermissionDenied`, `Unauthenticated`, `Throttled`, `Malformed`.
    ///
    /// # Example
    /// ```no_run
    /// # async fn show(ssm: patchkit_aws::Ssm) -> patchkit_core::Result<()> {
    /// use futures::TryStreamExt;
    /// use patchkit_core::NodeSelector;
    ///
    /// let mut known = ssm.compliance_by_kind(&NodeSelector::all());
    /// while let Some(row) = known.try_next().await? {
    ///     println!("{} {}: {}", row.node, row.kind, row.status);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn compliance_by_kind(
        &self,
        selector: &NodeSelector,
    ) -> BoxStream<'static, Result<ResourceCompliance>> {
        if selector.is_all() {
            return self.client.resource_summaries();
        }
        let client = Arc::clone(&self.client);
        let mut others = selector.clone();
        let ids = others.ids.take().filter(|_| others.is_all());
        let nodes = match ids {
            Some(ids) => stream::iter(ids).map(Ok).boxed(),
            None => self.nodes(selector).map_ok(|node| node.id).boxed(),
        };
        let ours = self.scope().clone();
        async move {
            let wanted: HashSet<NodeId> =
                nodes.try_filter(|id| future::ready(*id.scope() == ours)).try_collect().await?;
            // Nothing to look for is nothing to ask for.
            let rows = if wanted.is_empty() {
                stream::empty().boxed()
            } else {
                client.resource_summaries()
            };
            Ok(rows.try_filter(move |row| future::ready(wanted.contains(&row.node))))
        }
        .try_flatten_stream()
        .boxed()
    }

    /// Lists what one node was held against in one kind of compliance.
    ///
    /// # Behavior
    /// - Fifty items in a call; the service takes one node in a call.
    /// - A node of which nothing is known is an empty stream.
    ///
    /// # Errors
    /// `NotFound` (no such node here), `PermissionDenied`, `Throttled`, `Malformed`.
    pub fn compliance_items(
        &self,
        node: &NodeId,
        kind: &ComplianceKind,
    ) -> BoxStream<'static, Result<ComplianceEntry>> {
        if node.scope() != self.scope() {
            let missing = super::not_found(node);
            return stream::once(async { Err(missing) }).boxed();
        }
        let client = Arc::clone(&self.client);
        let (id, named, kind) = (node.resource().to_owned(), node.clone(), kind.to_string());
        let pages = paginate(PROVIDER, ITEMS, move |token| {
            let (client, id, kind) = (Arc::clone(&client), id.clone(), kind.clone());
            async move {
                let of_kind = ComplianceStringFilter::builder()
                    .key("ComplianceType")
                    .values(kind)
                    .r#type(ComplianceQueryOperatorType::Equal)
                    .build();
                let request = client
                    .ssm()
                    .list_compliance_items()
                    .resource_ids(id)
                    .resource_types("ManagedInstance")
                    .filters(of_kind)
                    .max_results(client.page.within(1, AT_MOST))
                    .set_next_token(token);
                let page = client.read(ITEMS, request.send()).await?;
                let rows = page.compliance_items.unwrap_or_default();
                Ok((rows.into_iter().map(entry).collect(), page.next_token))
            }
        });
        each_once(sound(PROVIDER, ITEMS, pages), |item| item.id.clone())
            .map_err(move |error| error.with_node(named.clone()))
            .boxed()
    }
}

impl Client {
    fn resource_summaries(self: &Arc<Self>) -> BoxStream<'static, Result<ResourceCompliance>> {
        let client = Arc::clone(self);
        let pages = paginate(PROVIDER, SUMMARIES, move |token| {
            let client = Arc::clone(&client);
            async move {
                let request = client
                    .ssm()
                    .list_resource_compliance_summaries()
                    .max_results(client.page.within(1, AT_MOST))
                    .set_next_token(token);
                let page = client.read(SUMMARIES, request.send()).await?;
                let rows = page.resource_compliance_summary_items.unwrap_or_default();
                let read = rows.iter().map(|row| client.resource_summary(row));
                Ok((read.collect::<Vec<_>>(), page.next_token))
            }
        });
        each_once(sound(PROVIDER, SUMMARIES, pages), |row| (row.node.clone(), row.kind.clone()))
    }

    fn resource_summary(&self, row: &ResourceComplianceSummaryItem) -> Result<ResourceCompliance> {
        let node = self.node(SUMMARIES, row.resource_id())?;
        let kind = row.compliance_type().unwrap_or_default().parse();
        let kind = kind.map_err(|_| malformed(SUMMARIES, "a row has no type"))?;
        let status = row.status().map_or("", SdkStatus::as_str);
        let level = row.overall_severity().map(ComplianceSeverity::as_str);
        let (good, bad) = (row.compliant_summary(), row.non_compliant_summary());
        let execution = row.execution_summary();
        Ok(ResourceCompliance {
            node,
            kind,
            status: ComplianceStatus::from_wire(status),
            level: level.and_then(ComplianceLevel::from_wire),
            compliant: LevelCounts::read(
                good.map(CompliantSummary::compliant_count),
                good.and_then(CompliantSummary::severity_summary),
            ),
            non_compliant: LevelCounts::read(
                bad.map(NonCompliantSummary::non_compliant_count),
                bad.and_then(NonCompliantSummary::severity_summary),
            ),
            at: executed(execution),
            execution: execution.and_then(Execution::execution_id).map(str::to_owned),
            execution_kind: execution.and_then(Execution::execution_type).map(str::to_owned),
        })
    }
}

fn executed(execution: Option<&Execution>) -> Option<Timestamp> {
    execution.and_then(|it| timestamp(it.execution_time()))
}

fn entry(item: ComplianceItem) -> Result<ComplianceEntry> {
    let at = executed(item.execution_summary());
    let status = ComplianceStatus::from_wire(item.status().map_or("", SdkStatus::as_str));
    let level =
        item.severity().map(ComplianceSeverity::as_str).and_then(ComplianceLevel::from_wire);
    let id = item.id.ok_or_else(|| malformed(ITEMS, "an item has no id"))?;
    Ok(ComplianceEntry {
        id,
        title: item.title.filter(|text| !text.is_empty()),
        status,
        level: level.unwrap_or_default(),
        details: item.details.unwrap_or_default().into_iter().collect(),
        at,
    })
}
