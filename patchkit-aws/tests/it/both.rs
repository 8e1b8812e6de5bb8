//! The provider against two servers: the simulated cloud, and moto.

/// Makes two tests of each body: one on the simulated cloud and one on moto. What comes after `moto:`
/// is for moto alone.
macro_rules! on_both {
    ($($body:ident),+ $(; moto: $($alone:ident),+)?) => {
        mod on_the_simulator {
            $(
                #[tokio::test]
                async fn $body() {
                    super::$body(&crate::server::Server::simulated().await).await;
                }
            )+
        }

        // `cargo xtask moto` picks its tests by the name of this module.
        mod on_moto {
            on_both!(@moto $($body),+ $(, $($alone),+)?);
        }
    };
    (@moto $($body:ident),+) => {
        $(
            #[tokio::test]
            #[ignore = "needs moto: cargo xtask moto"]
            async fn $body() {
                super::$body(&crate::server::Server::moto().await).await;
            }
        )+
    };
}

mod access;
mod nodes;
mod organization;
#[cfg(all(feature = "resource-groups", feature = "s3"))]
mod setup;
pub(crate) mod topic;
