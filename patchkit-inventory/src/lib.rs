//! patchkit-inventory

mod version;

pub use version::{Below, PackageVersion, VersionScheme};
