//! Executions in many accounts and Regions: a child in each of them, that is an execution there.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Execution, State, Status,
    start::{Many, amount, wrong},
};
use crate::cloud::{
    aws::{AwsError, input, organizations::accounts_of, seconds, ssm::commands::Target},
    world::machine::ScopeIx,
};

/// One place after the other, as in the user guide's example of TargetLocations.
const CONCURRENCY: &str = "1";
const ERRORS: &str = "0";

/// How one goes over its places.
#[derive(Debug)]
pub(super) struct Abroad {
    /// As they were given.
    pub(super) locations: Vec<Value>,
    rules: Vec<Rule>,
    pub(super) places: Vec<Place>,
}

/// What a location says of its places.
#[derive(Debug)]
struct Rule {
    concurrency: usize,
    allowed_errors: usize,
    many: Option<Many>,
}

/// An account in a Region.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) location: usize,
    account: String,
    region: String,
    step_id: String,
    child: Option<(ScopeIx, Arc<str>)>,
    pub(super) started: Option<Timestamp>,
    ended: Option<Timestamp>,
    status: Option<Status>,
    failure: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Location {
    #[serde(default)]
    accounts: Vec<String>,
    #[serde(default)]
    regions: Vec<String>,
    #[serde(default)]
    exclude_accounts: Vec<String>,
    include_child_organization_units: Option<bool>,
    target_location_max_concurrency: Option<String>,
    target_location_max_errors: Option<String>,
    target_location_alarm_configuration: Option<Value>,
    #[serde(default)]
    targets: Vec<Target>,
    targets_max_concurrency: Option<String>,
    targets_max_errors: Option<String>,
}

impl Location {
    /// The accounts that it names itself or by the units that they are in.
    fn accounts(&self, state: &State) -> Result<Vec<String>, AwsError> {
        let mut accounts = Vec::new();
        for name in &self.accounts {
            let is_account = name.len() == 12 && name.bytes().all(|it| it.is_ascii_digit());
            if is_account {
                accounts.push(name.clone());
                continue;
            }
            let unknown = || wrong(format!("TargetLocations: {name} is no account and no unit."));
            accounts.extend(accounts_of(state, name).ok_or_else(unknown)?);
            if name.starts_with("r-") && self.include_child_organization_units == Some(true) {
                accounts.extend(state.accounts.iter().skip(1).map(|it| it.id.to_string()));
            }
        }
        let mut left_out = self.exclude_accounts.clone();
        for name in &self.exclude_accounts {
            left_out.extend(accounts_of(state, name).unwrap_or_default());
        }
        accounts.retain(|it| !left_out.contains(it));
        Ok(accounts)
    }
}

impl Abroad {
    pub(super) fn of(
        state: &mut State,
        locations: &[Value],
        many: Option<Many>,
    ) -> Result<Self, AwsError> {
        let mut abroad =
            Self { locations: locations.to_vec(), rules: Vec::new(), places: Vec::new() };
        for (at, value) in locations.iter().enumerate() {
            let location: Location = input(value.clone())?;
            if location.target_location_alarm_configuration.is_some() {
                let message = "The simulator does not model TargetLocationAlarmConfiguration.";
                return Err(wrong(message.to_owned()));
            }
            if location.accounts.is_empty() || location.regions.is_empty() {
                let message = "TargetLocations: each of them needs Accounts and Regions.";
                return Err(wrong(message.to_owned()));
            }
            let before = abroad.places.len();
            for account in location.accounts(state)? {
                for region in &location.regions {
                    let (account, region) = (account.clone(), region.clone());
                    let twice = |it: &Place| it.account == account && it.region == region;
                    if abroad.places.iter().any(twice) {
                        let message =
                            format!("TargetLocations: {account} in {region} is given twice.");
                        return Err(wrong(message));
                    }
                    abroad.places.push(Place {
                        location: at,
                        account,
                        region,
                        step_id: state.new_uuid(),
                        child: None,
                        started: None,
                        ended: None,
                        status: None,
                        failure: None,
                    });
                }
            }
            let count = abroad.places.len() - before;
            let limit = |given: &Option<String>, usual: &str| {
                amount(given.as_deref().unwrap_or(usual), count)
            };
            let many = many.clone().map(|mut many| {
                if !location.targets.is_empty() {
                    many.targets.clone_from(&location.targets);
                }
                many.max_concurrency = location.targets_max_concurrency.or(many.max_concurrency);
                many.max_errors = location.targets_max_errors.or(many.max_errors);
                many
            });
            abroad.rules.push(Rule {
                concurrency: limit(&location.target_location_max_concurrency, CONCURRENCY).max(1),
                allowed_errors: limit(&location.target_location_max_errors, ERRORS),
                many,
            });
        }
        Ok(abroad)
    }

    pub(super) fn children(&self) -> Vec<(ScopeIx, Arc<str>)> {
        self.places.iter().filter_map(|it| it.child.clone()).collect()
    }

    pub(super) fn statuses(&self) -> impl Iterator<Item = Status> {
        self.places.iter().filter_map(|it| it.status)
    }

    /// The next place that may begin.
    fn next(&self) -> Option<usize> {
        self.places.iter().position(|it| {
            let of_location = || self.places.iter().filter(|of| of.location == it.location);
            let count = |is: fn(Status) -> bool| {
                of_location().filter(|it| it.status.is_some_and(is)).count()
            };
            let rule = &self.rules[it.location];
            it.status.is_none()
                && count(|it| !it.is_over()) < rule.concurrency
                && count(is_bad) <= rule.allowed_errors
        })
    }
}

fn is_bad(status: Status) -> bool {
    matches!(status, Status::Failed | Status::TimedOut)
}

impl Place {
    /// The place as a step of the execution that began it.
    pub(super) fn step(&self, location: &Value) -> Value {
        let mut target = location.clone();
        target["Accounts"] = json!([self.account]);
        target["Regions"] = json!([self.region]);
        let outputs = match &self.child {
            // User guide, "aws:executeAutomation": what the action gives.
            Some((_, child)) => json!({
                "ExecutionId": [&**child],
                "Status": [self.status.map(Status::as_str)],
            }),
            None => json!({}),
        };
        json!({
            "StepExecutionId": self.step_id,
            "StepName": format!("{}_{}", self.account, self.region),
            "Action": "aws:executeAutomation",
            "ExecutionStartTime": self.started.map(seconds),
            "ExecutionEndTime": self.ended.map(seconds),
            "StepStatus": self.status.map(Status::as_str),
            "Outputs": outputs,
            "FailureMessage": self.failure,
            "TargetLocation": target,
        })
    }
}

impl State {
    /// Enters an execution and begins it in its first places.
    pub(super) fn begin_abroad(&mut self, scope: ScopeIx, execution: Execution) -> Arc<str> {
        let id = Arc::clone(&execution.id);
        let number = self.next_number();
        self.automation_mut(scope).enter(number, execution);
        self.feed_abroad(scope, &id);
        id
    }

    fn abroad_mut(&mut self, scope: ScopeIx, id: &str) -> Option<&mut Abroad> {
        self.automation_mut(scope).get_mut(id)?.abroad.as_mut()
    }

    /// Begins in as many places as may be; ends it after the last one.
    pub(super) fn feed_abroad(&mut self, scope: ScopeIx, id: &Arc<str>) {
        loop {
            let Some(execution) = self.automation(scope).get(id) else { return };
            let stopped = execution.stopping || execution.status != Status::InProgress;
            let next = execution.abroad.as_ref().and_then(Abroad::next);
            let Some(place) = next.filter(|_| !stopped) else { break };
            self.begin_place(scope, id, place);
        }
        let now = self.now;
        let Some(execution) = self.automation_mut(scope).get_mut(id) else { return };
        let Some(abroad) = &execution.abroad else { return };
        if execution.status.is_over() || abroad.statuses().any(|it| !it.is_over()) {
            return;
        }
        let ended = |wanted: fn(Status) -> bool| abroad.statuses().filter(|it| wanted(*it)).count();
        let bad = ended(is_bad);
        let all = abroad.places.iter().all(|it| it.status.is_some());
        let whole = ended(|it| it == Status::Success) == abroad.places.len();
        let stopped = execution.status == Status::Cancelling || execution.stopping && !all;
        execution.ended = Some(now);
        execution.status = match (stopped, whole, all) {
            (true, ..) => Status::Cancelled,
            (_, true, _) => Status::Success,
            (.., true) if bad < execution.abroad.as_ref().map_or(0, |it| it.places.len()) => {
                Status::CompletedWithFailure
            }
            _ => Status::Failed,
        };
        if bad > 0 {
            execution.failure = Some(format!("{bad} of the accounts and Regions failed."));
        }
    }

    fn begin_place(&mut self, scope: ScopeIx, id: &Arc<str>, at: usize) {
        let now = self.now;
        let Some(execution) = self.automation_mut(scope).get_mut(id) else { return };
        let (runbook, caller) = (Arc::clone(&execution.runbook), Arc::clone(&execution.caller));
        let parameters = execution.parameters.clone();
        let Some(abroad) = &mut execution.abroad else { return };
        let place = &mut abroad.places[at];
        place.started = Some(now);
        place.status = Some(Status::InProgress);
        let (account, region) = (place.account.clone(), place.region.clone());
        let many = abroad.rules[place.location].many.clone();
        let begun = self.place(&account, &region).and_then(|there| {
            let fan = many.map(|many| many.fan(self, there)).transpose();
            fan.map(|fan| (there, fan)).map_err(|error| error.message)
        });
        match begun {
            Ok((there, fan)) => {
                let mut child = self.new_execution(runbook, parameters, caller);
                child.parent = Some(Arc::clone(id));
                child.parent_scope = Some(scope);
                child.fan = fan;
                let is_fan = child.fan.is_some();
                let child_id = Arc::clone(&child.id);
                if let Some(abroad) = self.abroad_mut(scope, id) {
                    abroad.places[at].child = Some((there, Arc::clone(&child_id)));
                }
                let number = self.next_number();
                self.automation_mut(there).enter(number, child);
                // Not at once: a child that ends as it begins would come back here.
                self.after(Duration::ZERO, move |state| {
                    if is_fan {
                        state.feed(there, &child_id);
                    } else {
                        state.begin_step(there, &child_id, 0);
                    }
                });
            }
            Err(message) => {
                if let Some(abroad) = self.abroad_mut(scope, id) {
                    let place = &mut abroad.places[at];
                    place.status = Some(Status::Failed);
                    place.ended = Some(now);
                    place.failure = Some(message);
                }
            }
        }
    }

    /// The account's Region of this name.
    fn place(&self, account: &str, region: &str) -> Result<ScopeIx, String> {
        let found = (0u16..)
            .map(ScopeIx)
            .zip(&self.scopes)
            .find(|(_, it)| *self.accounts[it.account].id == *account && *it.region == *region);
        found.map(|(at, _)| at).ok_or_else(|| {
            format!("The execution role cannot be assumed in the account {account} in {region}.")
        })
    }

    /// Notes that a child in another account or Region is over.
    pub(super) fn end_abroad_child(
        &mut self,
        scope: ScopeIx,
        id: &Arc<str>,
        child: &Arc<str>,
        status: Status,
    ) {
        let now = self.now;
        if let Some(abroad) = self.abroad_mut(scope, id) {
            let is_it = |it: &&mut Place| it.child.as_ref().is_some_and(|(_, of)| of == child);
            if let Some(place) = abroad.places.iter_mut().find(is_it) {
                place.status = Some(status);
                place.ended = Some(now);
            }
        }
        self.feed_abroad(scope, id);
    }
}
