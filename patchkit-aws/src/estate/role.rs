//! The role that is assumed in each account, and its sessions.

use std::{
    fmt,
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_credential_types::{
    Credentials,
    provider::{
        ProvideCredentials, SharedCredentialsProvider, error::CredentialsError,
        future::ProvideCredentials as Provided,
    },
};
use patchkit_core::{AccountId, Result};
use tracing::{instrument::WithSubscriber as _, subscriber::NoSubscriber};

use crate::{
    client::Client,
    config::{Caller, SsmBuilder},
    error::{invalid, malformed},
};

/// How long a session lasts where nothing else is set, and how long one can last that a role's
/// session asks for (IAM user guide, "Role chaining").
pub(super) const HOUR: Duration = Duration::from_hours(1);

/// What is the same in all accounts.
#[derive(Clone)]
pub(super) struct RoleOptions {
    pub(super) name: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) session: Option<String>,
    pub(super) duration: Duration,
}

impl Default for RoleOptions {
    fn default() -> Self {
        Self { name: None, external_id: None, session: None, duration: HOUR }
    }
}

impl fmt::Debug for RoleOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleOptions")
            .field("name", &self.name)
            .field("session", &self.session)
            .field("duration", &self.duration)
            .finish_non_exhaustive()
    }
}

impl RoleOptions {
    /// The role, ready to be assumed by `caller` in any account.
    ///
    /// # Errors
    /// `InvalidInput` for what STS would refuse in every account.
    pub(super) fn checked(&self, caller: &Caller) -> Result<CheckedRole> {
        let name = self.name.as_deref().ok_or_else(|| {
            wrong("accounts other than the caller's need the name of a role to assume")
        })?;
        // IAM API reference, "CreateRole": a path may be in front.
        check("role name", name, 1..=576, "+=,.@-/")?;
        if let Some(id) = &self.external_id {
            check("external id", id, 2..=1_224, "+=,.@:/-")?;
        }
        let session = self.session.clone().unwrap_or_else(|| session_of(&caller.arn));
        check("session name", &session, 2..=64, "+=,.@-")?;
        let seconds = self.duration.as_secs();
        if !(900..=43_200).contains(&seconds) {
            return Err(wrong("a session lasts from 15 minutes to 12 hours"));
        }
        if self.duration > HOUR && caller.arn.contains(":assumed-role/") {
            return Err(wrong("a session that a role's session asks for lasts an hour at most"));
        }
        let partition = caller.arn.split(':').nth(1).unwrap_or("aws").to_owned();
        Ok(CheckedRole {
            partition,
            name: name.trim_start_matches('/').to_owned(),
            external_id: self.external_id.clone(),
            session,
            seconds: i32::try_from(seconds).unwrap_or(3_600),
        })
    }
}

/// A role whose every part STS takes.
pub(super) struct CheckedRole {
    partition: String,
    name: String,
    external_id: Option<String>,
    session: String,
    seconds: i32,
}

impl CheckedRole {
    /// The configuration for `account`: its clients, whatever their Region and service, share one
    /// session, which is made when the first of them needs it and again before it ends.
    pub(super) fn sessions(
        &self,
        ssm: &SsmBuilder,
        own: &Arc<Client>,
        account: &AccountId,
    ) -> SsmBuilder {
        let role = AssumedRole {
            own: Arc::clone(own),
            arn: format!("arn:{}:iam::{account}:role/{}", self.partition, self.name),
            external_id: self.external_id.clone(),
            session: self.session.clone(),
            seconds: self.seconds,
        };
        ssm.with_credentials(SharedCredentialsProvider::new(role))
    }
}

/// The credentials of a role in one account. The SDK's own provider of these makes its calls past
/// the budget, and over plain HTTP to anyone.
struct AssumedRole {
    own: Arc<Client>,
    arn: String,
    external_id: Option<String>,
    session: String,
    seconds: i32,
}

impl AssumedRole {
    async fn assume(&self) -> Result<Credentials> {
        let request = self
            .own
            .sts()
            .assume_role()
            .role_arn(&self.arn)
            .role_session_name(&self.session)
            .set_external_id(self.external_id.clone())
            .duration_seconds(self.seconds)
            .send();
        // The SDK traces whole answers where LOG_SENSITIVE_BODIES asks for it, and those that its HTTP
        // client has read at once in any case.
        let request = request.with_subscriber(NoSubscriber::default());
        let answer = self.own.read("AssumeRole", request).await?;
        let keys = answer
            .credentials()
            .ok_or_else(|| malformed("AssumeRole", "the answer has no credentials"))?;
        let end = SystemTime::try_from(*keys.expiration())
            .map_err(|_| malformed("AssumeRole", "the session ends at no time"))?;
        Ok(Credentials::new(
            keys.access_key_id(),
            keys.secret_access_key(),
            Some(keys.session_token().to_owned()),
            Some(end),
            "AssumeRole",
        ))
    }
}

impl ProvideCredentials for AssumedRole {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        Provided::new(async { self.assume().await.map_err(CredentialsError::provider_error) })
    }
}

impl fmt::Debug for AssumedRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumedRole").field("arn", &self.arn).finish_non_exhaustive()
    }
}

/// A session that is named after who asks for it: that is what the accounts' trails show.
fn session_of(arn: &str) -> String {
    let who = arn.rsplit(['/', ':']).next().unwrap_or_default();
    let who = who.chars().filter(|c| c.is_ascii_alphanumeric() || "+=,.@-_".contains(*c));
    let mut name = String::from("patchkit-");
    name.extend(who.take(64 - name.len()));
    name
}

fn check(what: &str, text: &str, length: RangeInclusive<usize>, marks: &str) -> Result<()> {
    if !length.contains(&text.len()) {
        let (least, most) = (length.start(), length.end());
        return Err(wrong(format!("a {what} has {least} to {most} characters")));
    }
    // Neither the text itself: it may have been meant for another field, as a secret.
    if text.chars().any(|c| !(c.is_ascii_alphanumeric() || c == '_' || marks.contains(c))) {
        return Err(wrong(format!("a {what} has only letters, digits and _{marks}")));
    }
    Ok(())
}

fn wrong(message: impl Into<String>) -> patchkit_core::Error {
    invalid("AssumeRole", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(arn: &str) -> Caller {
        Caller { account: "111122223333".parse().unwrap(), arn: arn.to_owned() }
    }

    const USER: &str = "arn:aws:iam::111122223333:user/ops/anna";
    const SESSION: &str = "arn:aws-cn:sts::111122223333:assumed-role/tools/run 7";

    fn named() -> RoleOptions {
        RoleOptions { name: Some("patchkit".to_owned()), ..RoleOptions::default() }
    }

    #[test]
    fn a_session_is_named_after_who_asks_and_is_of_his_partition() {
        let role = named().checked(&caller(USER)).unwrap();
        assert_eq!(
            (&*role.partition, &*role.session, role.seconds),
            ("aws", "patchkit-anna", 3_600)
        );
        let role = named().checked(&caller(SESSION)).unwrap();
        assert_eq!((&*role.partition, &*role.session), ("aws-cn", "patchkit-run7"));
        let long = format!("arn:aws:iam::111122223333:user/{}", "x".repeat(64));
        assert_eq!(named().checked(&caller(&long)).unwrap().session.len(), 64);
    }

    #[test]
    fn what_sts_would_refuse_is_refused_before_it_is_asked() {
        let refused = |change: fn(&mut RoleOptions), arn| {
            let mut options = named();
            change(&mut options);
            options.checked(&caller(arn)).is_err()
        };
        assert!(!refused(|_| (), USER));
        assert!(refused(|it| it.name = None, USER));
        assert!(refused(|it| it.name = Some("a role".to_owned()), USER));
        assert!(refused(|it| it.external_id = Some("x".to_owned()), USER));
        assert!(refused(|it| it.session = Some("x".repeat(65)), USER));
        assert!(refused(|it| it.session = Some("a/b".to_owned()), USER));
        assert!(refused(|it| it.duration = Duration::from_secs(899), USER));
    }

    #[test]
    fn a_chained_session_lasts_an_hour_at_most() {
        let long = RoleOptions { duration: 2 * HOUR, ..named() };
        assert!(long.checked(&caller(USER)).is_ok());
        assert!(long.checked(&caller(SESSION)).is_err());
    }

    #[test]
    fn an_external_id_is_not_printed() {
        let options = RoleOptions { external_id: Some("hush".to_owned()), ..named() };
        assert!(!format!("{options:?}").contains("hush"));
    }
}
