//! What nodes run, for other people's tools: CycloneDX, its differences, and the advisories that hit it.
//!
//! - [`NodeSoftware`] is what a node runs, off a lake ([`read_software`], [`for_each_software`]) or made of
//!   live answers ([`NodeSoftware::with_inventory_entries`]).
//! - [`Sbom`] writes it as CycloneDX; [`parse_sbom`] takes that back.
//! - [`SoftwareDiff`] is what differs between two nodes, or two times of one.
//! - [`Advisories`] are those of a file in the OSV schema, and [`Advisories::held_against`] tells which hit
//!   a node, and which cannot be decided.
//!
//! Names, versions and advisories were written by others and are not trusted: no input panics, and what
//! cannot be read is counted and told. What cannot be decided is unknown, never "not affected".

mod advisory;
mod advisory_file;
mod cyclonedx;
mod diff;
mod ecosystem;
mod entries;
mod lake;
mod matching;
mod purl;
mod range;
mod rating;
mod sbom_file;
mod software;
mod source_name;

pub use advisory::{Advisory, AffectedPackage};
pub use advisory_file::{Advisories, AdvisoryProblem};
pub use cyclonedx::{Sbom, SpecVersion};
pub use diff::{Change, ChangeKind, SoftwareDiff};
pub use ecosystem::{Distro, Ecosystem, ReleaseScope};
pub use lake::{NodesAsked, for_each_software, read_software};
pub use matching::{Finding, MatchedBy, NodeFindings, Reach, Undecidable, Undecided};
pub use purl::purl;
pub use rating::{Rating, Weight};
pub use sbom_file::parse_sbom;
pub use software::{Coverage, NodeSoftware, Package};
pub use source_name::SourceNames;
