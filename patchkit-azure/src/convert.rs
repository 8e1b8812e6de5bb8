//! What Azure sends, as PatchKit's own data.

pub(crate) mod node;
