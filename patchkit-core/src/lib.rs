//! patchkit-core
