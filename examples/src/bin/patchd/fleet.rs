//! The fleet that the configuration names.

use std::sync::Arc;

use patchkit_core::{Clock, SystemClock, memory::MemoryCloud, workflow::Runner};
use patchkit_examples::HurriedClock;
use patchkit_journal::SqliteJournal;

use super::{
    SharedClock,
    config::{Config, FleetConfig},
};

/// The clock of the fleet: that of this machine, but for a fleet in memory, whose time may hurry.
pub(crate) fn clock(config: &Config) -> SharedClock {
    match &config.fleet {
        FleetConfig::Memory { speed, .. } if *speed > 1 => {
            Arc::new(HurriedClock::new(SystemClock.now(), *speed))
        }
        _ => Arc::new(SystemClock),
    }
}

/// A runner over the fleet. Scopes that could not be opened are told, and are no part of it.
pub(crate) async fn runner(
    config: &Config,
    journal: SqliteJournal,
    clock: SharedClock,
) -> Result<Runner, Box<dyn std::error::Error>> {
    Ok(match &config.fleet {
        FleetConfig::Memory { seed, nodes, .. } => {
            let clock = Arc::clone(&clock);
            let fleet = MemoryCloud::builder().seed(*seed).nodes(*nodes).clock(Arc::clone(&clock));
            let fleet = fleet.build();
            Runner::new(fleet.clone(), fleet, journal, clock)
        }
        #[cfg(feature = "aws")]
        FleetConfig::Aws { accounts, organization, role, regions } => {
            let sdk = aws_config::load_defaults(aws_config::BehaviorVersion::v2026_01_12()).await;
            let mut all = patchkit_aws::Accounts::from_sdk_config(&sdk)
                .with_accounts(accounts.iter().cloned())
                .with_regions(regions.iter().cloned());
            if *organization {
                all = all.with_organization();
            }
            if let Some(role) = role {
                all = all.with_role(role);
            }
            let opened = Box::pin(all.open()).await?;
            tell_failures(&opened.failures);
            Runner::new(opened.estate.clone(), opened.estate, journal, clock)
        }
        #[cfg(feature = "azure")]
        FleetConfig::Azure { subscriptions } => {
            let tenant = patchkit_azure::UpdateManager::builder_from_env()?
                .with_subscriptions(subscriptions.iter().cloned());
            let all = patchkit_azure::Subscriptions::new().with_tenant("azure", tenant);
            let opened = Box::pin(all.open()).await?;
            tell_failures(&opened.failures);
            Runner::new(opened.estate.clone(), opened.estate, journal, clock)
        }
    })
}

#[cfg(any(feature = "aws", feature = "azure"))]
fn tell_failures<T: std::fmt::Display>(failures: &[T]) {
    for failure in failures {
        patchkit_examples::tell(&patchkit_examples::printable(&failure.to_string()));
    }
}
