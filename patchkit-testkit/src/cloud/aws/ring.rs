//! Who calls: the access keys of all accounts, and the temporary credentials that were given out.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use jiff::Timestamp;

use super::sigv4::{Credential, Refusal};
use crate::{
    cloud::{
        keys::{KeyEntry, Keys, TokenProblem},
        shared::{Shared, lock},
        world::hex17,
    },
    rng::mix,
};

/// Who makes a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) account: Arc<str>,
    pub(crate) arn: String,
    pub(crate) user_id: String,
}

/// An access key, and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) entry: KeyEntry,
    pub(crate) caller: Caller,
}

/// The keys that are known.
#[derive(Debug)]
pub(crate) struct KeyRing {
    seed: u64,
    /// The account of keys that are not known, where nothing is checked.
    unknown: Caller,
    known: Mutex<HashMap<String, Key>>,
}

impl KeyRing {
    /// A long-lived key for each account.
    pub(crate) fn new(seed: u64, accounts: &[Arc<str>]) -> Self {
        let keys: Vec<Key> = accounts.iter().map(|account| lasting(seed, account, USER)).collect();
        let first = keys.first().map_or_else(
            || Caller {
                account: "000000000000".into(),
                arn: "arn:aws:iam::000000000000:root".to_owned(),
                user_id: "000000000000".to_owned(),
            },
            |key| key.caller.clone(),
        );
        let known = keys.into_iter().map(|key| (key.id.clone(), key)).collect();
        Self { seed, unknown: first, known: Mutex::new(known) }
    }

    /// The long-lived key of a user of an account, made unless it is there; none without the account.
    pub(crate) fn of_user(&self, account: &str, user: &str) -> Option<Key> {
        // Without a name it would be the account's own key.
        let account = self.of_account(account).filter(|_| !user.is_empty())?.caller.account;
        let key = lasting(self.seed, &account, user);
        self.add(key.clone());
        Some(key)
    }

    pub(crate) fn add(&self, key: Key) {
        lock(&self.known).insert(key.id.clone(), key);
    }

    pub(crate) fn get(&self, access_key: &str) -> Option<Key> {
        lock(&self.known).get(access_key).cloned()
    }

    /// The long-lived key of an account.
    pub(crate) fn of_account(&self, account: &str) -> Option<Key> {
        let id = lasting_id(self.seed, account, USER);
        self.get(&id)
    }

    /// Whether a key was temporary and its time is over.
    pub(crate) fn has_ended(&self, access_key: &str, now: Timestamp) -> bool {
        self.get(access_key).is_some_and(|key| key.entry.expires.is_some_and(|end| end <= now))
    }

    /// Who a key belongs to; one that is not known is the first account's.
    pub(crate) fn named(&self, access_key: &str) -> Caller {
        self.get(access_key).map_or_else(|| self.unknown.clone(), |key| key.caller)
    }

    /// Who a credential belongs to, whether or not its signature is right; a key that is not known
    /// is the first account's.
    ///
    /// # Errors
    /// Temporary credentials that have ended: that is so also where nothing is checked.
    pub(crate) fn caller(
        &self,
        credential: Option<&Credential>,
        shared: &Shared,
    ) -> Result<Caller, Refusal> {
        let Some(key) = credential.and_then(|it| self.get(&it.access_key)) else {
            return Ok(self.unknown.clone());
        };
        let token = key.entry.session_token.as_ref().map(|it| it.expose().as_bytes());
        if key.entry.admit(token, shared.credential_time()) == Err(TokenProblem::Expired) {
            return Err(Refusal::ExpiredToken);
        }
        Ok(key.caller)
    }
}

impl Keys for KeyRing {
    fn secret(&self, access_key: &str) -> Option<KeyEntry> {
        self.get(access_key).map(|key| key.entry)
    }
}

/// The user whom the endpoints tell a key of.
const USER: &str = "patchkit";

fn sum(seed: u64, account: &str, user: &str) -> u64 {
    let more = if user == USER { "" } else { user };
    account.bytes().chain(more.bytes()).fold(seed, |sum, byte| mix(sum ^ u64::from(byte)))
}

fn lasting_id(seed: u64, account: &str, user: &str) -> String {
    format!("AKIA{:016X}", mix(sum(seed, account, user)))
}

fn lasting(seed: u64, account: &Arc<str>, user: &str) -> Key {
    let sum = sum(seed, account, user);
    let secret = format!("{}{}simulated", hex17(mix(sum ^ 1), 1), hex17(mix(sum ^ 2), 2));
    Key {
        id: lasting_id(seed, account, user),
        entry: KeyEntry::new(secret),
        caller: Caller {
            account: Arc::clone(account),
            arn: format!("arn:aws:iam::{account}:user/{user}"),
            user_id: format!("AIDA{:016X}", mix(sum ^ 3)),
        },
    }
}
