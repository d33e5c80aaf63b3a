//! Last stage: the tokens of the function, with its body between a lookup and a populate (`cached`), or
//! before an invalidation (`writing`).
//!
//! Hygiene: locals of the expansion are spanned at the macro (mixed site), so that they neither see the
//! user's names nor are seen by the user's code. Spans: tokens that may fail to type-check have the
//! location of what the user wrote, where the compiler then reports them.

mod context;
mod tokens;

mod call;
mod codec;
mod function;
mod statements;

mod cached;
mod writing;

pub(crate) use cached::cached;
pub(crate) use writing::writing;
