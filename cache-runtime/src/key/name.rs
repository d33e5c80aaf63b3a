//! The names in Redis of one call: that of its entry, and those of the tokens that the entry depends on.

use smallvec::SmallVec;

use super::{Buffer, CallId, prefix_token, redis_key, tag_token};

/// The names of an entry and of its tokens, and what chooses their lane.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    names: Names,
    /// Chooses the lane: one call uses one lane, so that its commands stay in order.
    pub(crate) hash: u64,
    /// The function's last value was large. Such functions use a lane of their own, so that other replies
    /// do not wait behind large ones.
    pub(crate) bulk: bool,
}

/// The name of an entry, then those of its tokens (the prefix's, then the tags' in the order in which
/// entries list them), one after the other in one text.
#[derive(Clone, Debug)]
struct Names {
    text: Buffer,
    /// Where each name ends in `text`.
    ends: SmallVec<[usize; 2]>,
}

impl Names {
    fn new() -> Self {
        Self { text: Buffer::new(), ends: SmallVec::new() }
    }

    /// Adds the name that `write` appends.
    fn add(&mut self, write: impl FnOnce(&mut Buffer)) {
        write(&mut self.text);
        self.ends.push(self.text.len());
    }

    fn all(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut from = 0;
        self.ends.iter().map(move |end| &self.text[std::mem::replace(&mut from, *end)..*end])
    }
}

impl Key {
    /// The key of `call` in `namespace`: `function` is how readable keys name the function, `text` the
    /// readable part where the function has a key template.
    pub(crate) fn build(
        [namespace, prefix, function]: [&str; 3],
        text: Option<&str>,
        tags: &[String],
        call: CallId,
        bulk: bool,
    ) -> Self {
        let mut names = Names::new();
        names.add(|out| redis_key([namespace, prefix, function], text, call, out));
        names.add(|out| prefix_token(namespace, prefix, out));
        for tag in tags {
            names.add(|out| tag_token(namespace, tag, out));
        }
        Self { names, hash: call.arguments(), bulk }
    }

    /// A key without names, which stands for any key where only its lane matters.
    pub(crate) fn any() -> Self {
        Self { names: Names::new(), hash: 0, bulk: false }
    }

    /// As [`Key::any`], for the lane of bulk work.
    pub(crate) fn any_bulk() -> Self {
        Self { bulk: true, ..Self::any() }
    }

    /// The key of an entry that is given by its name in the store, and the token of its prefix, where that
    /// is known.
    pub(crate) fn stored(entry: &str, token: Option<&str>) -> Self {
        let mut names = Names::new();
        names.add(|text| text.push_str(entry));
        if let Some(token) = token {
            names.add(|text| text.push_str(token));
        }
        Self { names, ..Self::any() }
    }

    #[cfg(test)]
    pub(crate) fn named(entry: &str) -> Self {
        let mut names = Names::new();
        names.add(|text| text.push_str(entry));
        names.add(|text| text.push_str(&format!("~{entry}")));
        Self { names, ..Self::any() }
    }

    pub(crate) fn entry(&self) -> &str {
        self.all().next().unwrap_or_default()
    }

    pub(crate) fn tokens(&self) -> impl ExactSizeIterator<Item = &str> {
        self.all().skip(1)
    }

    /// The name of the prefix's token, by which refused writes are remembered.
    pub(crate) fn function(&self) -> &str {
        self.tokens().next().unwrap_or_default()
    }

    /// The names of the entry and of its tokens.
    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = &str> {
        // Every name was appended from text, so it is valid UTF-8.
        self.bytes().map(|name| std::str::from_utf8(name).unwrap_or_default())
    }

    /// As [`Key::all`], without the check for UTF-8.
    pub(crate) fn bytes(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.names.all()
    }
}
