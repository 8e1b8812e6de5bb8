//! patchkit-testkit

pub mod lake;
