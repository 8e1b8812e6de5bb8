//! The usual sources of credentials, one after the other.

use std::{
    env, fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use azure_core::{
    credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions},
    error::ErrorKind as CoreKind,
};
use azure_identity::{
    ClientSecretCredential, DeveloperToolsCredential, ManagedIdentityCredential,
    WorkloadIdentityCredential,
};
use patchkit_core::Result;

use crate::error::{invalid, is_busy};

/// Asks one source after the other until one answers, and that one from then on. One that is there, but busy,
/// is waited for.
struct Chain {
    sources: Vec<(&'static str, Arc<dyn TokenCredential>)>,
    /// The one that has answered; none while it is no place of a source.
    chosen: AtomicUsize,
}

/// What the environment names, in the order of Microsoft's other SDKs, but for a managed identity,
/// which comes last unless the host says that it has one: elsewhere asking for it takes a minute to fail.
///
/// `AZURE_TOKEN_CREDENTIALS` narrows it, as in these: `prod` or `dev`.
pub(crate) fn from_env() -> Result<Arc<dyn TokenCredential>> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let wanted = set("AZURE_TOKEN_CREDENTIALS").map(|it| it.to_ascii_lowercase());
    let (prod, dev) = match wanted.as_deref() {
        None => (true, true),
        Some("prod") => (true, false),
        Some("dev") => (false, true),
        Some(_) => {
            return Err(invalid("from_env", "AZURE_TOKEN_CREDENTIALS is neither prod nor dev"));
        }
    };
    let wrong = |error: azure_core::Error| invalid("from_env", error.to_string());
    let mut sources: Vec<(&'static str, Arc<dyn TokenCredential>)> = Vec::new();
    let here = set("IDENTITY_ENDPOINT").is_some();
    if prod {
        let names = ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"];
        if let [Some(tenant), Some(client), Some(secret)] = names.map(set) {
            let source = ClientSecretCredential::new(&tenant, client, Secret::new(secret), None);
            sources.push(("client secret", source.map_err(wrong)?));
        }
        if set("AZURE_FEDERATED_TOKEN_FILE").is_some() {
            let source = WorkloadIdentityCredential::new(None).map_err(wrong)?;
            sources.push(("workload identity", source));
        }
        if here {
            let source = ManagedIdentityCredential::new(None).map_err(wrong)?;
            sources.push(("managed identity", source));
        }
    }
    if dev {
        let source = DeveloperToolsCredential::new(None).map_err(wrong)?;
        sources.push(("developer tools", source));
    }
    if prod && !here {
        let source = ManagedIdentityCredential::new(None).map_err(wrong)?;
        sources.push(("managed identity", source));
    }
    Ok(Arc::new(Chain { sources, chosen: AtomicUsize::new(usize::MAX) }))
}

#[async_trait]
impl TokenCredential for Chain {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let chosen = self.chosen.load(Ordering::Relaxed);
        if let Some((_, source)) = self.sources.get(chosen) {
            return source.get_token(scopes, options).await;
        }
        let mut refusals = Vec::with_capacity(self.sources.len());
        for (at, (name, source)) in self.sources.iter().enumerate() {
            match source.get_token(scopes, options.clone()).await {
                Ok(token) => {
                    self.chosen.store(at, Ordering::Relaxed);
                    return Ok(token);
                }
                // The next one would be someone else for as long as the process lives.
                Err(error) if is_busy(&error) => return Err(error),
                Err(error) => refusals.push(format!("{name}: {error}")),
            }
        }
        let message = format!("no source has a token: {}", refusals.join("; "));
        Err(azure_core::Error::with_message(CoreKind::Credential, message))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sources.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use azure_core::time::OffsetDateTime;
    use futures::executor::block_on;

    use super::*;

    #[derive(Debug)]
    struct Source {
        asked: AtomicU32,
        has: Option<&'static str>,
        lacks: CoreKind,
    }

    #[async_trait]
    impl TokenCredential for Source {
        async fn get_token(
            &self,
            _: &[&str],
            _: Option<TokenRequestOptions<'_>>,
        ) -> azure_core::Result<AccessToken> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let none = || azure_core::Error::with_message(self.lacks.clone(), "none here");
            let token = self.has.ok_or_else(none)?;
            Ok(AccessToken::new(token, OffsetDateTime::UNIX_EPOCH))
        }
    }

    fn source(has: Option<&'static str>) -> Arc<Source> {
        Arc::new(Source { asked: AtomicU32::new(0), has, lacks: CoreKind::Credential })
    }

    fn chain(first: &Arc<Source>, second: &Arc<Source>) -> Chain {
        let sources: Vec<(_, Arc<dyn TokenCredential>)> =
            vec![("first", Arc::<Source>::clone(first)), ("second", Arc::<Source>::clone(second))];
        Chain { sources, chosen: AtomicUsize::new(usize::MAX) }
    }

    #[test]
    fn the_source_that_answers_is_kept() {
        let (first, second) = (source(None), source(Some("token")));
        let chain = chain(&first, &second);
        for _ in 0..3 {
            assert_eq!(block_on(chain.get_token(&[], None)).unwrap().token.secret(), "token");
        }
        assert_eq!(first.asked.load(Ordering::Relaxed), 1);
        assert_eq!(second.asked.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_source_that_is_busy_is_not_passed_over_for_someone_else() {
        let lacks =
            CoreKind::HttpResponse { status: 429_u16.into(), error_code: None, raw_response: None };
        let first = Arc::new(Source { asked: AtomicU32::new(0), has: None, lacks });
        let second = source(Some("token"));
        let error = block_on(chain(&first, &second).get_token(&[], None)).unwrap_err();
        assert!(is_busy(&error), "{error}");
        assert_eq!(second.asked.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn where_no_source_answers_all_are_named() {
        let (first, second) = (source(None), source(None));
        let error = block_on(chain(&first, &second).get_token(&[], None)).unwrap_err();
        assert!(error.to_string().contains("first: none here; second: none here"), "{error}");
    }
}
