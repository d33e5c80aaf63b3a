//! The attribute of `cache-runtime`, which re-exports it. Depend on that crate, not on this one: the
//! expansion calls it, in exactly the version that pins this one.
//!
//! [`macro@cache_result`] is the manual page.

mod attribute;

mod args;
mod slot;
mod words;

mod duration;
mod key;
mod values;

mod boxed;
mod input;
mod item;
mod pattern;

mod check;
mod parts;
mod returns;

mod errors;
mod expand;

#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Makes an `async fn` look its result up in Redis before it runs, and store it after.
///
/// ```ignore
/// use cache_runtime::cache_result;
///
/// #[cache_result(ttl = 3600, prefix = "areas")]
/// async fn areas(kind: String) -> Result<Vec<Area>, sqlx::Error> { .. }
/// ```
///
/// The function keeps its name, its arguments and its types, and so do its callers. The value that
/// a call returns is always one that the function itself could have returned: where Redis is off,
/// down, slow or wrong, the function simply runs. Concurrent calls with the same key are coalesced
/// into one run.
///
/// # Where it goes
///
/// On an `async fn`: a free function, a method of an impl, a method of a trait that has a body, a
/// generic function, one with pattern arguments such as `Path(kind): Path<String>`, or one that
/// `#[async_trait]` has rewritten.
///
/// - The return type is owned (`'static`) and implements `serde::Serialize` and
///   `serde::Deserialize`. Of a `Result<T, E>` that holds for `T`, of an `Option<T>` likewise; an
///   `E` is never stored. Aliases of these are seen through.
/// - Arguments that belong to the key implement `serde::Serialize`; they may be borrowed. The
///   others are left out with [`skip`](#skip).
/// - A method says whether `self` belongs to the key: `skip(self)`, or a [`key`](#key).
/// - Nothing may be written through `&mut` arguments: a hit would not write it.
///
/// `Err` is never stored. `None` is stored only with [`none_ttl`](#none_ttl).
///
/// # Options
///
/// Every option may be left out, in any order, each once: `#[cache_result]` alone is complete.
///
/// | option | takes | default |
/// |---|---|---|
/// | [`ttl`](#ttl) | seconds, text, expression or closure | `REDIS_DEFAULT_TTL` |
/// | [`prefix`](#prefix) | string literal | path of the function |
/// | [`key`](#key) | template, or values in parentheses | all arguments |
/// | [`skip`](#skip) | names of arguments | none |
/// | [`when`](#when) | `bool` expression over the arguments | `true` |
/// | [`cache_if`](#cache_if) | closure over the value, or function | stores every value |
/// | [`none_ttl`](#none_ttl) | seconds, text or expression | `None` is not stored |
/// | [`jitter`](#jitter) | number from 0 to 1 | `0.1` |
/// | [`version`](#version) | whole number from 1 | `1` |
/// | [`cache`](#cache) | expression of a `Cache` | scoped or global one |
/// | [`crate`](#crate) | path in quotes | `"::cache_runtime"` |
///
/// ## `ttl`
///
/// How long a value is fresh.
///
/// ```text
/// ttl = 3600                              seconds
/// ttl = "1h30m"                           text: whole numbers with ms, s, m, h or d
/// ttl = Duration::from_secs(60)           an expression: a Duration, or seconds as u64
/// ttl = |token| token.expires_in          a closure that sees the value: either of these
/// ```
///
/// Zero is refused where it is written out. An expression is evaluated at each call. The closure
/// sees `&V`, the `v` of `Ok(Some(v))`; it can name arguments only if they are `Copy` or references,
/// since the body takes the others with it. Default: `REDIS_DEFAULT_TTL`, in seconds, which is 3600
/// unless set.
///
/// ## `prefix`
///
/// The group that the entries belong to: the first part of the key in Redis, the label of the
/// statistics, and what `invalidate_prefix` takes. Neither empty nor a template; without white
/// space; must not begin with `~` or `#`. Functions may share a prefix without ever being served
/// each other's values. Default: the path of the function with its impl.
///
/// ## `key`
///
/// Which arguments decide about the result, instead of all of them.
///
/// ```text
/// key = "{kind}:{page}"        readable in Redis, the parts percent-encoded
/// key = "{self.id}:{filter.0}" fields of arguments
/// key = (kind, page / 10)      values of any expressions, hashed
/// key = (kind)                 one value
/// ```
///
/// `{{` and `}}` are braces. A template takes names and fields only, without format specs: what it
/// writes has to be unambiguous, which `Display` is not. What a user typed stands in the key in
/// clear then; the other forms hash it. A key that uses none of the arguments is refused. Default:
/// all arguments, hashed, in their order.
///
/// ## `skip`
///
/// Arguments that do not decide about the result, such as a connection: `skip(db, self)`. A pattern
/// argument counts as the names it binds. Not beside `key`, which says it all. Default: none.
///
/// ## `when`
///
/// A `bool` expression over the arguments: `when = page < 10`. Where it is false, the call neither
/// reads nor writes the cache. Default: `true`.
///
/// ## `cache_if`
///
/// A closure over the value, or the path of a function: `cache_if = |areas| !areas.is_empty()`.
/// Where it returns false the value is returned but not stored. It sees what a `ttl` closure sees,
/// and names what that may name. Default: every value is stored.
///
/// ## `none_ttl`
///
/// Stores `None` too, for that long: `none_ttl = 30`. Takes what `ttl` takes but a closure. Only for
/// functions that return an `Option`, or a `Result` of one. Default: `None` is not stored.
///
/// ## `jitter`
///
/// Shortens each ttl by a random share of up to this much, so that what was stored together does
/// not expire together: `jitter = 0.2`. `0` switches it off. Default: `0.1`.
///
/// ## `version`
///
/// Change it when the meaning of the value changes though its type does not: `version = 2`. All
/// versions share one key: an older entry is overwritten, a newer one left alone and not read, so
/// two deployments can run side by side. Default: `1`.
///
/// ## `cache`
///
/// Which cache to use: `cache = self.cache`. An expression of a `Cache`, a reference to one or an
/// `Arc` of one; it is borrowed. Default: the one in scope, else the global one.
///
/// ## `crate`
///
/// Where the runtime is, for crates that re-export it: `crate = "my_crate::cache_runtime"`. Default:
/// `"::cache_runtime"`.
///
/// # Errors
///
/// Misuse is a compile error at what has to change. All mistakes of one attribute are reported in
/// one compile.
///
/// # Cancel safety
///
/// A call that is dropped drops the run of the function, as it would without the attribute. Where
/// other calls wait for that run, one of them takes over.
///
/// # Examples
///
/// A method that leaves its connection out of the key, and remembers what does not exist:
///
/// ```ignore
/// impl Users {
///     #[cache_result(ttl = "10m", prefix = "users", key = "{id}", none_ttl = 30)]
///     async fn find(&self, id: u64) -> Result<Option<User>, sqlx::Error> { .. }
/// }
/// ```
///
/// A token that is stored for as long as it says:
///
/// ```ignore
/// #[cache_result(skip(client), ttl = |token| token.expires_in)]
/// async fn token(client: &Client, scope: &str) -> Result<Token, Error> { .. }
/// ```
#[proc_macro_attribute]
pub fn cache_result(attr: TokenStream, item: TokenStream) -> TokenStream {
    attribute::cache_result(attr.into(), item.into()).into()
}
