//! `cachectl` as a user runs it: the program, in an environment of its own, against servers of these tests.

mod commands;
mod doctor;
mod documents;
mod kit;
mod program;
mod rights;
