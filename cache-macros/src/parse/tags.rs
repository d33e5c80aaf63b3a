//! The `tags` and `tag` options. A tag is a template and names a group of entries across prefixes.

use syn::{Error, Expr, Result};

use crate::errors;
use crate::parse::expr;
use crate::template::Template;

/// The most tags an entry may have: each costs a call one more key in its `MGET`.
const MOST: usize = 16;

/// The `tags` of a cached function.
pub(crate) fn tags(value: Expr) -> Result<Vec<Template>> {
    let list = match expr::plain(value) {
        Expr::Array(list) => list,
        text => {
            let message = match expr::text(text.clone(), "") {
                Ok(text) => format!("write a list: `tags = [{}]`", text.token()),
                Err(_) => "`tags` takes a list, as in `tags = [\"agent:{agent_id}\"]`".into(),
            };
            return Err(Error::new_spanned(text, message));
        }
    };
    if list.elems.is_empty() {
        return Err(Error::new_spanned(list, "`tags` names no tag; leave it out"));
    }
    if let Some(surplus) = list.elems.iter().nth(MOST) {
        let message = format!("an entry has at most {MOST} tags");
        return Err(Error::new_spanned(surplus, message));
    }
    errors::all(list.elems.into_iter().map(|value| one(value, "tags")))
}

/// One `tag` of `#[cache_invalidate]`.
pub(crate) fn tag(value: Expr) -> Result<Template> {
    one(value, "tag")
}

fn one(value: Expr, option: &'static str) -> Result<Template> {
    let otherwise = match option {
        "tags" => "a tag is a string literal, as in `tags = [\"agent:{agent_id}\"]`",
        _ => "`tag` takes a string literal, as in `tag = \"agent:{agent_id}\"`",
    };
    let text = expr::text(value, otherwise)?;
    if text.value().is_empty() {
        return Err(Error::new_spanned(text, "a tag must not be empty; name the group"));
    }
    Template::parse(text, option)
}
