//! What Azure sends, as PatchKit's own data.

pub(crate) mod baseline;
pub(crate) mod compliance;
pub(crate) mod node;
pub(crate) mod patch;
