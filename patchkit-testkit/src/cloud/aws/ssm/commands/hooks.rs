//! The hooks of AWS-RunPatchBaselineWithHooks: documents that run within one of its steps, as they
//! run where they are sent themselves.

use std::sync::Arc;

use super::{
    At, State,
    documents::Document,
    run::{StepEnd, skipped},
};

/// The document that a step runs, and how far it is.
#[derive(Clone, Debug)]
pub(super) struct Hook {
    pub(super) document: Arc<Document>,
    /// Where in the document it is.
    step: usize,
    end: StepEnd,
}

impl Hook {
    /// Notes how a step ended: the hook fails by the first that did.
    pub(super) fn note(&mut self, step: StepEnd) {
        self.step += 1;
        if self.end.code == 0 {
            self.end.code = step.code;
        }
        self.end.stdout.push_str(&step.stdout);
        self.end.stderr.push_str(&step.stderr);
    }
}

impl State {
    pub(super) fn run_hook(&mut self, at: At, parameter: &'static str) {
        let only_scan = self.parameter(&at, "Operation").iter().any(|it| it == "Scan");
        if only_scan && parameter != "OnExitHookDocName" {
            self.end_step(&at, StepEnd::success("The step was not asked for."));
            return;
        }
        let name = self.parameter(&at, parameter).into_iter().next().unwrap_or_default();
        match self.hook(&at, &name) {
            Ok(document) => {
                if let Some(invocation) = self.invocation_mut(&at) {
                    invocation.hook = Some(Hook { document, step: 0, end: StepEnd::default() });
                }
                self.run_next_hook_step(at);
            }
            Err(message) => {
                let wait = self.takes(&at, 35, 2, 8);
                self.work(at, wait, |state, at| state.end_step(at, StepEnd::failure(1, message)));
            }
        }
    }

    /// The document of a hook, where it can run here without parameters: it is given none.
    fn hook(&self, at: &At, name: &str) -> Result<Arc<Document>, String> {
        let invocation = self.invocation(at).ok_or_else(String::new)?;
        let document = Document::find(self, at.scope, name)?;
        if let Some(lacking) = document.parameters.iter().find(|it| it.usual.is_none()) {
            return Err(format!("{name} needs the parameter {}.", lacking.name));
        }
        if !document.runs_on(self.platform(invocation.machine)) {
            return Err(format!("{name} does not support the platform of the node."));
        }
        Ok(document)
    }

    /// Begins the step that a hook has come to; ends the hook after the last one.
    pub(super) fn run_next_hook_step(&mut self, at: At) {
        let Some(invocation) = self.invocation(&at) else { return };
        let Some(hook) = &invocation.hook else { return };
        let (document, n, machine) = (Arc::clone(&hook.document), hook.step, invocation.machine);
        let (platform, power_changes) =
            (self.platform(machine), self.machine(machine).power_changes);
        let Some(invocation) = self.invocation_mut(&at) else { return };
        invocation.power_changes = power_changes;
        match document.steps.get(n) {
            Some(step) if step.on.is_none_or(|on| on == platform) => self.run_step(at, step),
            Some(step) => {
                let text = format!("{}\n", skipped(step));
                self.end_step(&at, StepEnd::success(text));
            }
            None => {
                let end = invocation.hook.take().map(|hook| hook.end).unwrap_or_default();
                self.end_step(&at, end);
            }
        }
    }

    /// The document whose step runs on a node: the command's, or that of a hook of it.
    pub(super) fn document_at(&self, at: &At) -> Option<&Arc<Document>> {
        let command = self.command_at(at)?;
        let hook = command.invocations.get(at.n).and_then(|it| it.hook.as_ref());
        Some(hook.map_or(&command.document, |it| &it.document))
    }
}
