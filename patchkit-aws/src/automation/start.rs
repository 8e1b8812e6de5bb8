//! Registering runbooks and starting them.

use std::collections::HashMap;

use aws_sdk_ssm::types::{DocumentFormat, DocumentType, Target, TargetLocation};
use patchkit_core::{
    AccountId, Amount, Error, ErrorKind, NodeId, Region, Result, RunId, SubmitToken,
};
use uuid::Uuid;

use super::runbook::{INSTANCE, ROLE, RunbookDocument, SNAPSHOT};
use crate::{
    AutomationId, Ssm,
    command::{document, token},
    error::{PROVIDER, invalid},
};

const CREATE: &str = "CreateDocument";
const START: &str = "StartAutomationExecution";

// Service model: AutomationTargets, TargetValues, TargetLocations, Accounts, Regions.
const MOST_VALUES: usize = 50;
const MOST_PLACES: usize = 100;
const MOST_IN_PLACE: usize = 50;
/// A namespace of our own for client tokens.
const TOKENS: Uuid = Uuid::from_u128(0x91c4_e7a8_03bd_4d19_a2f6_5b08_de73_1c4e);

/// One start of a runbook of ours.
///
/// # Example
/// ```
/// use patchkit_aws::{PatchRunbook, RunbookPlace, RunbookRun, RunbookTarget};
/// use patchkit_core::{PatchAction, RebootPolicy};
///
/// let runbook = PatchRunbook::new(PatchAction::Install(RebootPolicy::IfRequired)).render()?;
/// let target = RunbookTarget::tag("Patch Group", ["web"]);
/// let everywhere = RunbookPlace::new(
///     ["111122223333".parse()?, "444455556666".parse()?],
///     ["eu-west-1".parse()?, "us-east-1".parse()?],
/// );
/// let run = RunbookRun::new(&runbook, "run-47".parse()?, target).with_place(everywhere);
/// assert_eq!(run.places.len(), 1);
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunbookRun {
    /// The runbook's name, or its ARN where another account shares it.
    pub runbook: String,
    /// The caller's mark: the same token is the same execution.
    pub token: SubmitToken,
    /// The instances.
    pub target: RunbookTarget,
    /// Where: in this account and Region only, where none is named.
    pub places: Vec<RunbookPlace>,
    /// How many instances of an account and Region are worked on at once; AWS's ten where none is
    /// set.
    pub concurrency: Option<Amount>,
    /// How many failures of an account and Region are borne; AWS's none where none is set.
    pub max_errors: Option<Amount>,
    /// The ARN of the role that the runbook works with; the caller's own rights where none is set.
    pub role: Option<String>,
    /// The run that names the snapshot of approved patches; the token where none is set.
    pub run: Option<RunId>,
}

/// The instances that a runbook is started for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RunbookTarget {
    /// Those with a tag of any of these values: running or not, with an agent or without.
    Tag {
        /// The tag's key.
        key: String,
        /// Its values.
        values: Vec<String>,
    },
    /// These, of this account and Region.
    Nodes(Vec<NodeId>),
}

impl RunbookTarget {
    /// Instances with a tag of any of these values.
    pub fn tag<V: Into<String>>(
        key: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        Self::Tag { key: key.into(), values: values.into_iter().map(Into::into).collect() }
    }

    /// These instances.
    pub fn nodes(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        Self::Nodes(nodes.into_iter().collect())
    }
}

/// Accounts and Regions that a runbook is executed in: each of the one in each of the other.
///
/// Automation assumes a role in each account, and looks for the runbook there unless it is named by
/// the ARN of one that is shared.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RunbookPlace {
    /// The accounts.
    pub accounts: Vec<AccountId>,
    /// The Regions.
    pub regions: Vec<Region>,
    /// The role that is assumed in each account; AWS's
    /// `AWS-SystemsManager-AutomationExecutionRole` where none is set.
    pub execution_role: Option<String>,
    /// How many accounts and Regions are worked on at once; AWS's one where none is set.
    pub concurrency: Option<Amount>,
    /// In how many a failure is borne; AWS's none where none is set.
    pub max_errors: Option<Amount>,
}

impl RunbookPlace {
    /// Each of the accounts in each of the Regions.
    pub fn new(
        accounts: impl IntoIterator<Item = AccountId>,
        regions: impl IntoIterator<Item = Region>,
    ) -> Self {
        Self {
            accounts: accounts.into_iter().collect(),
            regions: regions.into_iter().collect(),
            execution_role: None,
            concurrency: None,
            max_errors: None,
        }
    }

    /// Sets the role that is assumed in each account.
    #[must_use]
    pub fn with_execution_role(mut self, name: impl Into<String>) -> Self {
        self.execution_role = Some(name.into());
        self
    }

    /// Limits how many accounts and Regions are worked on at once.
    #[must_use]
    pub fn with_concurrency(mut self, amount: Amount) -> Self {
        self.concurrency = Some(amount);
        self
    }

    /// Limits in how many a failure is borne.
    #[must_use]
    pub fn with_max_errors(mut self, amount: Amount) -> Self {
        self.max_errors = Some(amount);
        self
    }
}

impl RunbookRun {
    /// A start here, with AWS's own limits.
    pub fn new(runbook: &RunbookDocument, token: SubmitToken, target: RunbookTarget) -> Self {
        Self {
            runbook: runbook.name.clone(),
            token,
            target,
            places: Vec::new(),
            concurrency: None,
            max_errors: None,
            role: None,
            run: None,
        }
    }

    /// Names the runbook otherwise: by the ARN of one that another account shares.
    #[must_use]
    pub fn with_runbook(mut self, name: impl Into<String>) -> Self {
        self.runbook = name.into();
        self
    }

    /// Adds accounts and Regions.
    #[must_use]
    pub fn with_place(mut self, place: RunbookPlace) -> Self {
        self.places.push(place);
        self
    }

    /// Limits how many instances of an account and Region are worked on at once.
    #[must_use]
    pub fn with_concurrency(mut self, amount: Amount) -> Self {
        self.concurrency = Some(amount);
        self
    }

    /// Limits how many failures of an account and Region are borne.
    #[must_use]
    pub fn with_max_errors(mut self, amount: Amount) -> Self {
        self.max_errors = Some(amount);
        self
    }

    /// Sets the role that the runbook works with.
    #[must_use]
    pub fn with_role(mut self, arn: impl Into<String>) -> Self {
        self.role = Some(arn.into());
        self
    }

    /// Names the run whose snapshot of approved patches is used.
    #[must_use]
    pub fn with_run(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self
    }

    fn targets(&self, ssm: &Ssm) -> Result<Target> {
        let refuse = |message: String| Err(invalid(START, message));
        let (key, values) = match &self.target {
            RunbookTarget::Tag { key, values } => {
                if key.is_empty() || key.chars().count() > 128 {
                    return refuse("a tag's key has 1 to 128 characters".to_owned());
                }
                (format!("tag:{key}"), values.clone())
            }
            RunbookTarget::Nodes(nodes) => {
                if !self.places.is_empty() {
                    return refuse("ids are of one account and Region: use a tag".to_owned());
                }
                for node in nodes {
                    if node.scope() != ssm.scope() || !node.resource().starts_with("i-") {
                        let scope = ssm.scope();
                        return refuse(format!("node {node} is no EC2 instance of {scope}"));
                    }
                }
                let ids = nodes.iter().map(|node| node.resource().to_owned()).collect();
                ("ParameterValues".to_owned(), ids)
            }
        };
        if values.is_empty() || values.len() > MOST_VALUES {
            return refuse(format!("1 to {MOST_VALUES} values, not {}", values.len()));
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some(twice) = values.iter().find(|value| !seen.insert(value.as_str())) {
            return refuse(format!("{twice} is given twice"));
        }
        Ok(Target::builder().key(key).set_values(Some(values)).build())
    }

    fn locations(&self) -> Result<Option<Vec<TargetLocation>>> {
        let refuse = |message: String| Err(invalid(START, message));
        if self.places.len() > MOST_PLACES {
            return refuse(format!("{} places are more than {MOST_PLACES}", self.places.len()));
        }
        let mut seen = std::collections::BTreeSet::new();
        for place in &self.places {
            for count in [place.accounts.len(), place.regions.len()] {
                if !(1..=MOST_IN_PLACE).contains(&count) {
                    return refuse(format!(
                        "a place has 1 to {MOST_IN_PLACE} accounts and Regions, not {count}"
                    ));
                }
            }
            for account in &place.accounts {
                for region in &place.regions {
                    if !seen.insert((account, region)) {
                        return refuse(format!("{account} in {region} is given twice"));
                    }
                }
            }
        }
        let located = self.places.iter().map(|place| {
            let accounts = place.accounts.iter().map(|it| it.as_str().to_owned()).collect();
            let regions = place.regions.iter().map(|it| it.as_str().to_owned()).collect();
            Ok(TargetLocation::builder()
                .set_accounts(Some(accounts))
                .set_regions(Some(regions))
                .set_execution_role_name(place.execution_role.clone())
                .set_target_location_max_concurrency(document::max_concurrency(
                    place.concurrency,
                    None,
                )?)
                .set_target_location_max_errors(document::max_errors(place.max_errors, None))
                .build())
        });
        let located = located.collect::<Result<Vec<_>>>()?;
        Ok(Some(located).filter(|it| !it.is_empty()))
    }
}

impl Ssm {
    /// Registers a runbook in this account and Region.
    ///
    /// # Behavior
    /// - One that is there with the same content is left alone: twice is as good as once.
    ///
    /// # Errors
    /// `Conflict` (the name has another content), `InvalidInput` (500 documents are there, or the
    /// service cannot read it), `PermissionDenied`, `Throttled`.
    pub async fn register_runbook(&self, runbook: &RunbookDocument) -> Result<()> {
        let request = self
            .client
            .ssm()
            .create_document()
            .name(&runbook.name)
            .content(&runbook.content)
            .document_type(DocumentType::Automation)
            .document_format(DocumentFormat::Json);
        // The second of two finds the first's document, and looks into it.
        match self.client.read(CREATE, request.send()).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let known = self.runbook_content(&runbook.name).await?;
                let same = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
                if same(&known).is_some() && same(&known) == same(&runbook.content) {
                    return Ok(());
                }
                Err(error)
            }
            made => made.map(drop),
        }
    }

    /// Removes a runbook from this account and Region. What runs goes on.
    ///
    /// # Behavior
    /// - Twice is as good as once.
    ///
    /// # Errors
    /// `PermissionDenied`, `Throttled`.
    pub async fn deregister_runbook(&self, runbook: &RunbookDocument) -> Result<()> {
        let request = self.client.ssm().delete_document().name(&runbook.name);
        match self.client.read("DeleteDocument", request.send()).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn runbook_content(&self, name: &str) -> Result<String> {
        let request =
            self.client.ssm().get_document().name(name).document_format(DocumentFormat::Json);
        let answer = self.client.read("GetDocument", request.send()).await?;
        Ok(answer.content.unwrap_or_default())
    }

    /// Starts a runbook for some instances, here or in many accounts and Regions.
    ///
    /// # Behavior
    /// - The same token is the same execution: the call carries a client token made of it, so a call
    ///   whose answer is lost is made again. The same token with anything else is `InvalidInput`.
    /// - **Automation looks for the instances itself, when it begins**: no lease holds them, and one
    ///   that gets the tag meanwhile is in.
    /// - All instances work with one snapshot of approved patches.
    ///
    /// # Errors
    /// `NotFound` (no such runbook), `InvalidInput`, `PermissionDenied`, `Throttled`, `Timeout`
    /// (call again with the same token).
    ///
    /// # Example
    /// ```no_run
    /// # async fn patch(ssm: patchkit_aws::Ssm) -> patchkit_core::Result<()> {
    /// use patchkit_aws::{PatchRunbook, RunbookRun, RunbookTarget};
    /// use patchkit_core::{PatchAction, RebootPolicy};
    ///
    /// let runbook = PatchRunbook::new(PatchAction::Install(RebootPolicy::IfRequired)).render()?;
    /// ssm.register_runbook(&runbook).await?;
    /// let target = RunbookTarget::tag("Patch Group", ["web"]);
    /// let id = ssm.start_runbook(&RunbookRun::new(&runbook, "web-47".parse()?, target)).await?;
    /// println!("{:?}", ssm.automation(&id).await?.status);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn start_runbook(&self, run: &RunbookRun) -> Result<AutomationId> {
        let target = run.targets(self)?;
        let locations = run.locations()?;
        let name = run.run.as_ref().map_or(run.token.as_str(), RunId::as_str);
        let mut parameters = HashMap::new();
        parameters.insert(SNAPSHOT.to_owned(), vec![token::snapshot(name).to_string()]);
        if let Some(role) = &run.role {
            parameters.insert(ROLE.to_owned(), vec![role.clone()]);
        }
        let request = self
            .client
            .ssm()
            .start_automation_execution()
            .document_name(&run.runbook)
            .set_parameters(Some(parameters))
            .client_token(Uuid::new_v5(&TOKENS, run.token.as_str().as_bytes()).to_string())
            .target_parameter_name(INSTANCE)
            .targets(target)
            .set_target_locations(locations)
            .set_max_concurrency(document::max_concurrency(run.concurrency, None)?)
            .set_max_errors(document::max_errors(run.max_errors, None));
        let answer = self.client.read(START, request.send()).await?;
        let id = answer.automation_execution_id.and_then(|id| AutomationId::new(id).ok());
        id.ok_or_else(|| {
            let message = "the answer names no execution";
            Error::new(ErrorKind::Malformed, PROVIDER, START, message)
        })
    }
}
