//! The examples of the README and of `docs/`, compiled and run as doctests.
//!
//! Not in `cache-runtime`, whose package does not contain these files.
#![cfg(doctest)]

#[doc = include_str!("../../README.md")]
struct Readme;

#[doc = include_str!("../../docs/coherence.md")]
struct Coherence;

#[doc = include_str!("../../docs/credentials.md")]
struct Credentials;

#[doc = include_str!("../../docs/operations.md")]
struct Operations;

#[doc = include_str!("../../cache-admin/README.md")]
struct Admin;
