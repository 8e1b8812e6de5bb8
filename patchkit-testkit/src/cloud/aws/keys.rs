//! Who calls: access keys, the accounts they are of, and temporary credentials.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;

use super::{AwsError, wire};
use crate::{
    cloud::{shared::Shared, world::hex17},
    rng::mix,
};

/// What a request's signature says, before it is checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Credential {
    pub(crate) access_key: String,
    pub(crate) region: String,
    pub(crate) service: String,
}

impl Credential {
    pub(crate) fn of(request: &wire::Request) -> Option<Self> {
        let header = request.headers().get("authorization").and_then(|it| it.to_str().ok());
        let scope = header.and_then(|it| {
            let (_, rest) = it.split_once("Credential=")?;
            rest.split([',', ' ']).next()
        })?;
        let mut parts = scope.split('/');
        let (access_key, _date) = (parts.next()?, parts.next()?);
        let (region, service) = (parts.next()?, parts.next()?);
        let owned = |text: &str| text.to_owned();
        Some(Self { access_key: owned(access_key), region: owned(region), service: owned(service) })
    }
}

/// Who makes a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) account: Arc<str>,
    pub(crate) arn: String,
    pub(crate) user_id: String,
}

/// The keys that are known.
#[derive(Debug)]
pub(crate) struct Keys {
    first: Arc<str>,
    known: Mutex<HashMap<String, Key>>,
}

#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) access_key: String,
    pub(crate) secret: String,
    pub(crate) session: Option<Session>,
    pub(crate) caller: Caller,
}

#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) token: String,
    pub(crate) expires: Timestamp,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("access_key", &self.access_key)
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// A long-lived key for each account.
    pub(crate) fn new(seed: u64, accounts: &[Arc<str>]) -> Self {
        let mut known = HashMap::new();
        for account in accounts {
            let sum = account.bytes().fold(seed, |sum, byte| mix(sum ^ u64::from(byte)));
            let key = Key {
                access_key: format!("AKIA{:016X}", mix(sum)),
                secret: format!("{}{}simulated", hex17(mix(sum ^ 1), 1), hex17(mix(sum ^ 2), 2)),
                session: None,
                caller: Caller {
                    account: Arc::clone(account),
                    arn: format!("arn:aws:iam::{account}:user/patchkit"),
                    user_id: format!("AIDA{:016X}", mix(sum ^ 3)),
                },
            };
            known.insert(key.access_key.clone(), key);
        }
        let first = accounts.first().map_or_else(|| Arc::from("000000000000"), Arc::clone);
        Self { first, known: Mutex::new(known) }
    }

    pub(crate) fn add(&self, key: Key) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(key.access_key.clone(), key);
    }

    pub(crate) fn get(&self, access_key: &str) -> Option<Key> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(access_key).cloned()
    }

    /// The long-lived key of an account.
    pub(crate) fn of_account(&self, account: &str) -> Option<Key> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().find(|it| it.session.is_none() && *it.caller.account == *account).cloned()
    }

    /// Who a credential belongs to; an unknown key is the first account's where nothing is checked.
    pub(crate) fn caller(
        &self,
        credential: Option<&Credential>,
        shared: &Shared,
    ) -> Result<Caller, AwsError> {
        let key = credential.and_then(|it| self.get(&it.access_key));
        match key {
            Some(Key { session: Some(session), .. })
                if session.expires <= shared.credential_time() =>
            {
                let message = "The security token included in the request is expired";
                Err(AwsError::new("ExpiredTokenException", message))
            }
            Some(key) => Ok(key.caller),
            None => Ok(self
                .of_account(&self.first)
                .map_or_else(|| Caller::anonymous(&self.first), |key| key.caller)),
        }
    }
}

impl Caller {
    fn anonymous(account: &Arc<str>) -> Self {
        let arn = format!("arn:aws:iam::{account}:root");
        Self { account: Arc::clone(account), arn, user_id: account.to_string() }
    }
}
