//! What maintenance windows and associations have in common: when, on which nodes, and what.

mod target;
mod task;
mod timing;

pub use self::{target::ScheduleTarget, task::PatchTask};
pub(crate) use self::{
    task::{Place, delivery, notification},
    timing::{check_association, check_window},
};
