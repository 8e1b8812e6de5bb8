//! A document on a node: its steps, one after the other.

use std::{sync::Arc, time::Duration};

use super::{
    super::associations,
    At, Stage, State,
    documents::{Does, Platform, Step},
    patch::Order,
};
use crate::cloud::{
    lake::Part,
    world::{
        machine::{Agent, Power},
        populate::CURRENT_AGENT,
    },
};

/// How a step ended.
#[derive(Clone, Debug, Default)]
pub(super) struct StepEnd {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl StepEnd {
    pub(super) fn success(stdout: impl Into<String>) -> Self {
        Self { code: 0, stdout: stdout.into(), stderr: String::new() }
    }

    /// A step that failed; the agent adds the exit status to what the script wrote.
    pub(super) fn failure(code: i32, stderr: impl Into<String>) -> Self {
        let stderr = stderr.into();
        let line = if stderr.is_empty() || stderr.ends_with('\n') { "" } else { "\n" };
        let stderr = format!("{stderr}{line}failed to run commands: exit status {code}");
        Self { code, stdout: String::new(), stderr }
    }
}

impl State {
    /// Begins the step that an invocation has come to; ends the invocation after the last one.
    pub(super) fn run_next_step(&mut self, at: At) {
        let now = self.now;
        let Some(command) = self.command_at(&at) else { return };
        let document = Arc::clone(&command.document);
        let invocation = &command.invocations[at.n];
        if invocation.stage != Stage::InProgress {
            return;
        }
        let (n, machine) = (invocation.step, invocation.machine);
        let failed = invocation.plugins.iter().any(|plugin| plugin.stage == Stage::Failed);
        let Some(step) = document.steps.get(n) else {
            self.finish(&at, if failed { Stage::Failed } else { Stage::Success });
            return;
        };
        let (platform, power_changes) =
            (self.platform(machine), self.machine(machine).power_changes);
        if let Some(invocation) = self.invocation_mut(&at) {
            invocation.power_changes = power_changes;
            let plugin = &mut invocation.plugins[n];
            plugin.stage = Stage::InProgress;
            plugin.started = Some(now);
        }
        if step.on.is_some_and(|on| on != platform) {
            self.end_step(&at, StepEnd::success(skipped(step)));
        } else if failed && step.is_given_up() {
            self.give_up_step(&at);
        } else {
            self.run_step(at, step);
        }
    }

    pub(super) fn run_step(&mut self, at: At, step: &Step) {
        match &step.does {
            Does::Patch => {
                let order = Order::of_document(self, &at);
                self.patch(at, order);
            }
            Does::HookedScan => {
                let order = Order::scan_of_hooks(self, &at);
                self.patch(at, order);
            }
            Does::InstallNoReboot | Does::Reboot => match Order::of_hooks(self, &at, &step.does) {
                Some(order) => self.patch(at, order),
                None => self.end_step(&at, StepEnd::success("The step was not asked for.")),
            },
            Does::PreInstallHook => self.run_hook(at, "PreInstallHookDocName"),
            Does::PostInstallHook => self.run_hook(at, "PostInstallHookDocName"),
            Does::OnExitHook => self.run_hook(at, "OnExitHookDocName"),
            Does::UpdateAgent => {
                let wait = self.takes(&at, 31, 10, 40);
                self.work(at, wait, |state, at| {
                    let end = state.update_agent(at);
                    state.end_step(at, end);
                });
            }
            Does::RefreshAssociations => {
                let wait = self.takes(&at, 32, 1, 3);
                self.work(at, wait, |state, at| {
                    let ids = state.parameter(at, "associationIds");
                    let node = state.invocation(at).map(|it| it.node.clone()).unwrap_or_default();
                    let count = associations::refresh(state, at.scope, &node, &ids);
                    let text = format!("Refreshed {count} association(s).");
                    state.end_step(at, StepEnd::success(text));
                });
            }
            Does::Inventory => {
                let wait = self.takes(&at, 33, 5, 20);
                self.work(at, wait, |state, at| {
                    if let Some(machine) = state.invocation(at).map(|it| it.machine) {
                        state.gather(machine);
                    }
                    let text = "Inventory policy has been successfully applied and collected \
                                inventory data has been uploaded to SSM";
                    state.end_step(at, StepEnd::success(text));
                });
            }
            Does::Script => {
                let lines = self.parameter(&at, "commands");
                self.run_script(at, &lines);
            }
            Does::Lines(lines) => {
                let lines: Vec<String> = lines.iter().map(|it| self.filled(&at, it)).collect();
                self.run_script(at, &lines);
            }
            Does::Unmodelled(action) => {
                let message = format!("The simulator does not model the action {action}.");
                self.end_step(&at, StepEnd::failure(1, message));
            }
            Does::Nothing => {
                let wait = self.takes(&at, 34, 1, 2);
                self.work(at, wait, |state, at| {
                    state.end_step(at, StepEnd::success("No-op"));
                });
            }
        }
    }

    /// Does something on a node after a while, unless it was turned off or booted meanwhile, or the
    /// invocation is over.
    pub(super) fn work(
        &mut self,
        at: At,
        wait: Duration,
        act: impl FnOnce(&mut Self, &At) + Send + 'static,
    ) {
        self.after(wait, move |state| {
            let Some(invocation) = state.invocation(&at) else { return };
            let machine = state.machine(invocation.machine);
            if invocation.stage == Stage::InProgress
                && machine.power == Power::Running
                && machine.power_changes == invocation.power_changes
            {
                act(state, &at);
            }
        });
    }

    /// Notes how a step ended, and begins the next one.
    pub(super) fn end_step(&mut self, at: &At, end: StepEnd) {
        let now = self.now;
        let Some(invocation) = self.invocation_mut(at) else { return };
        if invocation.stage != Stage::InProgress {
            return;
        }
        invocation.job = None;
        if let Some(hook) = &mut invocation.hook {
            hook.note(end);
            self.run_next_hook_step(at.clone());
            return;
        }
        let n = invocation.step;
        invocation.step += 1;
        let Some(plugin) = invocation.plugins.get_mut(n) else { return };
        plugin.stage = if end.code == 0 { Stage::Success } else { Stage::Failed };
        plugin.code = end.code;
        plugin.ended = Some(now);
        plugin.stdout = end.stdout;
        plugin.stderr = end.stderr;
        self.run_next_step(at.clone());
    }

    /// A step that an earlier failure leaves out.
    fn give_up_step(&mut self, at: &At) {
        let Some(invocation) = self.invocation_mut(at) else { return };
        let n = invocation.step;
        invocation.step += 1;
        let plugin = &mut invocation.plugins[n];
        plugin.stage = Stage::Cancelled;
        plugin.started = None;
        self.run_next_step(at.clone());
    }

    /// A line with the values of parameters in the place of their names.
    fn filled(&self, at: &At, line: &str) -> String {
        let Some(document) = self.document_at(at) else { return line.to_owned() };
        let mut line = line.to_owned();
        for parameter in &*document.parameters {
            let values = self.parameter(at, &parameter.name).join("\n");
            for name in
                [format!("{{{{ {} }}}}", parameter.name), format!("{{{{{}}}}}", parameter.name)]
            {
                line = line.replace(&name, &values);
            }
        }
        line
    }

    fn run_script(&mut self, at: At, lines: &[String]) {
        let name = match self.invocation(&at) {
            Some(invocation) => self.machine(invocation.machine).name.to_string(),
            None => return,
        };
        let (lasts, end) = script(lines, &name);
        let wait = self.takes(&at, 36, 1, 4).saturating_add(lasts);
        self.work(at, wait, move |state, at| state.end_step(at, end));
    }

    fn update_agent(&mut self, at: &At) -> StepEnd {
        let first = |values: Vec<String>| values.into_iter().next().unwrap_or_default();
        let wanted = first(self.parameter(at, "version"));
        let down = first(self.parameter(at, "allowDowngrade")) == "true";
        let wanted = match wanted.as_str() {
            "" | "latest" => CURRENT_AGENT,
            version => version,
        };
        let Some(machine) = self.invocation(at).map(|it| it.machine) else {
            return StepEnd::default();
        };
        let Some(aws) = &self.machine(machine).aws else { return StepEnd::default() };
        let (new, old) = (version(wanted), version(&aws.agent_version));
        if new > version(CURRENT_AGENT) {
            let message = format!("amazon-ssm-agent {wanted} is not in the manifest");
            return StepEnd::failure(1, message);
        }
        if new == old {
            let text =
                format!("amazon-ssm-agent {wanted} has already been installed, update skipped");
            return StepEnd::success(text);
        }
        if new < old && !down {
            let message = format!(
                "updating amazon-ssm-agent to an older version {wanted}, please enable allow \
                 downgrade to proceed"
            );
            return StepEnd::failure(1, message);
        }
        let text = format!(
            "Updating amazon-ssm-agent from {} to {wanted}\namazon-ssm-agent updated successfully \
             to {wanted}",
            aws.agent_version
        );
        self.keep_gathered(machine);
        let Some(aws) = &mut self.machine_mut(machine).aws else { return StepEnd::default() };
        aws.agent_version = Arc::from(wanted);
        let current = new == version(CURRENT_AGENT);
        aws.agent = match aws.agent {
            Agent::OldVersion if current => Agent::Online,
            Agent::Online if !current => Agent::OldVersion,
            other => other,
        };
        self.sync_node(machine, Part::Node);
        StepEnd::success(text)
    }
}

impl Step {
    /// Whether it is left out once an earlier step failed.
    fn is_given_up(&self) -> bool {
        matches!(
            self.does,
            Does::PreInstallHook | Does::InstallNoReboot | Does::PostInstallHook | Does::Reboot
        )
    }
}

/// A step that is for other platforms reports too.
pub(super) fn skipped(step: &Step) -> String {
    let platform = match step.on {
        Some(Platform::Windows) => "Windows",
        Some(Platform::MacOs) => "MacOS",
        _ => "Linux",
    };
    format!(
        "Step execution skipped due to unsatisfied preconditions: '\"StringEquals\": \
         [platformType, {platform}]'. Step name: {}",
        step.name
    )
}

/// A version as numbers, so that 3.10 comes after 3.9.
fn version(text: &str) -> Vec<u64> {
    text.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// The few commands that a test wants to see the effect of: `echo`, `exit`, `sleep`, `hostname`,
/// `false`. All others do nothing, and well.
fn script(lines: &[String], host: &str) -> (Duration, StepEnd) {
    let mut lasts = Duration::ZERO;
    let mut out = String::new();
    for line in lines.iter().flat_map(|it| it.split(['\n', ';'])) {
        let line = line.trim();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let code = match word {
            "echo" => {
                out.push_str(rest.trim().trim_matches(['"', '\'']));
                out.push('\n');
                continue;
            }
            "hostname" => {
                out.push_str(host);
                out.push('\n');
                continue;
            }
            "sleep" => {
                let seconds = rest.trim().parse().unwrap_or(0);
                lasts = lasts.saturating_add(Duration::from_secs(seconds));
                continue;
            }
            "exit" => rest.trim().parse().unwrap_or(0),
            "false" => 1,
            _ => continue,
        };
        if code == 0 {
            break;
        }
        let end = StepEnd { stdout: out, ..StepEnd::failure(code, "") };
        return (lasts, end);
    }
    (lasts, StepEnd::success(out))
}
