//! x
/// x
#[derive(Debug)]
pub struct ObjectJournal;
