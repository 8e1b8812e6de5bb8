//! What an install is to bring to a machine: by the options, or by the baseline that decides there.

use futures::StreamExt;
use patchkit_core::{Error, ErrorKind, NodeSelector, RebootPolicy, Result};
use serde_json::Value;

use super::{
    Order, SUBMIT,
    machine::{Seen, System},
    not_looked,
    nothing::{Nothing, unnamed},
};
use crate::{
    UpdateManager,
    baseline::{Deciding, InstallParameters, install_parameters},
    convert::compliance::Assessment,
    error::{PROVIDER, invalid},
    fleet::query::Columns,
};

/// What is to be done about an install.
#[derive(Debug)]
pub(super) enum Chosen {
    /// Azure is asked.
    Ask {
        body: Value,
        /// What is to be said of it when it is over.
        remark: Option<String>,
    },
    /// Azure is not asked: there is nothing to install.
    Nothing(Nothing),
}

impl UpdateManager {
    /// Chooses what an install brings.
    ///
    /// # Errors
    /// `Conflict` where the baseline that decides has no assessment to judge; `InvalidInput` where no
    /// baseline is for the machine, or the options choose patches as well; what kept either from being
    /// read.
    pub(super) async fn choose(
        &self,
        order: &Order<'_>,
        reboot: RebootPolicy,
        seen: &Seen,
    ) -> Result<Chosen> {
        let options = &self.operations.options;
        let Some(deciding) = self.deciding().await.map_err(not_looked)? else {
            let body = options.body(reboot, seen.system, order.timeout)?;
            return Ok(Chosen::Ask { body, remark: None });
        };
        if options.choose_patches() {
            let message = "patches are chosen by install options and by baselines: leave it to one";
            return Err(invalid(SUBMIT, message));
        }
        let mut body = options.frame(reboot, order.timeout)?;
        self.approved(order, &deciding, seen, &mut body).await
    }

    /// Adds to the body what the baseline of the machine approves of what its last assessment found.
    async fn approved(
        &self,
        order: &Order<'_>,
        deciding: &Deciding,
        seen: &Seen,
        body: &mut Value,
    ) -> Result<Chosen> {
        let (client, now) = (&self.client, self.client.now());
        let only = NodeSelector::ids([order.node.clone()]);
        let row = self.machine_rows(&only, Columns::Assessment).next().await;
        let (machine, row) = row
            .unwrap_or_else(|| {
                let what = "what Resource Graph tells of the node";
                Err(Error::not_found(PROVIDER, SUBMIT, what))
            })
            .map_err(not_looked)?;
        let baseline = deciding.on(&machine.node).map_err(not_looked)?.ok_or_else(|| {
            let os = &machine.node.operating_system;
            invalid(SUBMIT, format!("no baseline is for {os}"))
        })?;
        let assessment = Assessment::read(SUBMIT, &row).map_err(not_looked)?;
        let assessment = assessment.filter(|it| it.is_kept(now)).ok_or_else(|| {
            conflict("a baseline judges what an assessment found, and none is known: scan it first")
        })?;
        let patches = client.offered(order.node).await.map_err(not_looked)?;
        let selection = install_parameters(&baseline, &patches, now);
        let lost = selection.unnamed.len();
        let Some(parameters) = selection.parameters() else {
            // Half an assessment may have missed what is approved.
            if lost == 0 && !assessment.is_over() {
                let at = assessment.at();
                return Err(conflict(format!(
                    "its assessment of {at} is not whole: scan it again"
                )));
            }
            return Ok(Chosen::Nothing(Nothing::new(now, lost, order.node)));
        };
        let system = match parameters {
            InstallParameters::Windows { .. } => System::Windows,
            InstallParameters::Linux { .. } => System::Linux,
        };
        // Parameters that are for the other system are none, and none bring everything.
        if seen.system != Some(system) {
            return Err(conflict(format!(
                "Resource Graph tells of {}, and the machine itself does not say that it is that",
                machine.node.operating_system
            )));
        }
        let (key, names) = parameters.to_json();
        body[key] = names;
        let remark = (lost > 0).then(|| unnamed(lost));
        Ok(Chosen::Ask { body: body.take(), remark })
    }
}

fn conflict(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Conflict, PROVIDER, SUBMIT, message.into())
}

#[cfg(test)]
mod tests;
