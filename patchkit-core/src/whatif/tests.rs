//! The algebra against the naive evaluation, and its rules one by one.

mod live;
mod naive;
mod property;
mod rules;
mod unseen;
