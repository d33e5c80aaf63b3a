//! The command for a batch of reads, and each read's part of the reply.

use std::time::Duration;

use bytes::Bytes;
use deadpool_redis::redis::{self, Cmd, Pipeline, RedisResult, Value};
use smallvec::SmallVec;

use crate::entry::Token;
use crate::key::Key;
use crate::store::contract::Found;
use crate::store::lanes::{CommandError, bulk_string, pttl, unexpected_reply};

/// The reads of a batch, and the names of their `MGET`, each of them once.
pub(crate) struct Batch<'a> {
    reads: SmallVec<[Positions; 1]>,
    names: SmallVec<[&'a [u8]; 4]>,
    /// Indices of the tokens among the names.
    tokens: SmallVec<[usize; 2]>,
    /// Indices of the names whose `PTTL` is read.
    timed: SmallVec<[usize; 1]>,
    /// Two reads have the same entry, so that its bytes must be cloned.
    has_duplicates: bool,
}

/// Where the parts of one read are among the names.
struct Positions {
    hash: u64,
    entry: usize,
    tokens: SmallVec<[usize; 2]>,
    /// Index among the `PTTL`s.
    ttl_left: Option<usize>,
}

impl<'a> Batch<'a> {
    pub(crate) fn with_room(reads: usize) -> Self {
        Self {
            reads: SmallVec::with_capacity(reads),
            names: SmallVec::with_capacity(reads * 2),
            tokens: SmallVec::new(),
            timed: SmallVec::new(),
            has_duplicates: false,
        }
    }

    pub(crate) fn add(&mut self, key: &'a Key, timed: bool) {
        let mut names = key.bytes();
        let name = names.next().unwrap_or_default();
        let same = |read: &&Positions| read.hash == key.hash && self.names[read.entry] == name;
        let same = self.reads.iter().find(same).map(|read| read.entry);
        self.has_duplicates |= same.is_some();
        let entry = same.unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        let tokens = names.map(|token| self.token(token)).collect();
        let ttl_left = timed.then(|| {
            self.timed.push(entry);
            self.timed.len() - 1
        });
        self.reads.push(Positions { hash: key.hash, entry, tokens, ttl_left });
    }

    /// The index of a token. A linear search: the reads of a batch share few tokens.
    fn token(&mut self, name: &'a [u8]) -> usize {
        let known = self.tokens.iter().copied().find(|at| self.names[*at] == name);
        known.unwrap_or_else(|| {
            self.names.push(name);
            self.tokens.push(self.names.len() - 1);
            self.names.len() - 1
        })
    }

    /// Sends `MGET`, after a `PTTL` for each timed read: in that order an entry that is stored in between cannot
    /// look younger than it is.
    pub(crate) async fn send(
        &self,
        connection: &mut redis::aio::MultiplexedConnection,
    ) -> RedisResult<Value> {
        if self.timed.is_empty() {
            return connection.send_packed_command(&self.mget()).await;
        }
        let mut all = Pipeline::with_capacity(self.timed.len() + 1);
        for position in &self.timed {
            all.cmd("PTTL").arg(self.names[*position]);
        }
        all.add_command(self.mget());
        let replies = connection.send_packed_commands(&all, 0, all.len()).await?;
        Ok(Value::Array(replies))
    }

    fn mget(&self) -> Cmd {
        let size = self.names.iter().map(|name| name.len() + 16).sum();
        let mut mget = Cmd::with_capacity(1 + self.names.len(), size);
        mget.arg("MGET");
        for name in &self.names {
            mget.arg(*name);
        }
        mget
    }

    /// Splits the reply, in the order of the reads.
    pub(crate) fn answers(&self, reply: Value) -> Result<Vec<Found>, CommandError> {
        let Value::Array(mut values) = reply else { return Err(unexpected_reply(&reply)) };
        let mut ttls = SmallVec::<[Option<Duration>; 1]>::new();
        if !self.timed.is_empty() {
            let mut replies = values;
            values = match replies.pop() {
                Some(Value::Array(values)) => values,
                other => return Err(unexpected_reply(&other.unwrap_or(Value::Nil))),
            };
            for reply in &replies {
                ttls.push(pttl(reply)?);
            }
        }
        if values.len() != self.names.len() {
            return Err(unexpected_reply(&Value::Array(values)));
        }
        let mut bytes = SmallVec::<[Option<Bytes>; 4]>::new();
        for value in values {
            bytes.push(bulk_string(value)?.map(Bytes::from));
        }
        // Not of entries: `Token::of` digests long bytes.
        let mut tokens: SmallVec<[Option<Token>; 4]> = SmallVec::from_elem(None, bytes.len());
        for at in &self.tokens {
            tokens[*at] = bytes[*at].as_ref().map(|bytes| Token::of(bytes));
        }
        let found = self.reads.iter().map(|read| Found {
            bytes: if self.has_duplicates {
                bytes[read.entry].clone()
            } else {
                bytes[read.entry].take()
            },
            tokens: read.tokens.iter().map(|at| tokens[*at]).collect(),
            ttl_left: read.ttl_left.and_then(|at| ttls[at]),
        });
        Ok(found.collect())
    }
}
