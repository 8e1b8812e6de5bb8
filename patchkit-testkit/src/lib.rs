//! patchkit-testkit
