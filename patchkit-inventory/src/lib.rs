//! patchkit-inventory
