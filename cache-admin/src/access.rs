//! Who may do what: tokens, or the host's own check.

use std::fmt;
use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use subtle::ConstantTimeEq as _;

/// The fewest bytes of a token.
const SHORTEST: usize = 16;

/// What a caller may do. Each role may do what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Nothing: every request is refused.
    None,
    /// See figures, and the state of an entry whose key the caller knows; no values.
    View,
    /// Also invalidate, switch off and on, and warm.
    Operate,
    /// Also see the stored value of an entry.
    Reveal,
}

impl Role {
    /// The role as one word: `none`, `view`, `operate` or `reveal`. `Display` writes the same.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::View => "view",
            Self::Operate => "operate",
            Self::Reveal => "reveal",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who may use the router. There is no default: a router without a decision about access does not compile.
///
/// Tokens come in the header `Authorization`, as `Bearer TOKEN` or as the password of HTTP Basic with any
/// user name; never in the URL, which ends up in logs. They are compared in constant time: how long a
/// refusal takes says nothing but the length of the tokens.
///
/// # Examples
///
/// ```
/// use cache_admin::{Access, Role};
///
/// let access = Access::token(Role::Operate, "4f1c9a0b7d2e8836")?
///     .or_token(Role::View, "b0a2c5d7e9f1a3b4")?;
/// assert!(Access::token(Role::View, "short").is_err());
///
/// // The host's own login:
/// let access = Access::check(|request| match request.extensions.get::<&str>() {
///     Some(&"admin") => Role::Operate,
///     _ => Role::None,
/// });
/// # Ok::<(), cache_admin::WeakToken>(())
/// ```
#[derive(Clone)]
pub struct Access(Kind);

#[derive(Clone)]
enum Kind {
    ReadOnly,
    Tokens(Vec<(Role, String)>),
    Check(Arc<dyn Fn(&Parts) -> Role + Send + Sync>),
}

/// Who sent a request: the role, and the name for the audit log.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) role: Role,
    pub(crate) who: String,
}

impl Access {
    /// Gives `role` to requests with `token`.
    ///
    /// # Errors
    ///
    /// [`WeakToken`] where the token has fewer than 16 bytes, or bytes that no header can carry.
    pub fn token(role: Role, token: impl Into<String>) -> Result<Self, WeakToken> {
        Ok(Self(Kind::Tokens(vec![(role, strong(token.into())?)])))
    }

    /// Gives `role` to requests with `token`, beside the tokens that are there. Where one token is given
    /// twice, the higher role counts. Replaces [`Access::read_only`] and [`Access::check`].
    ///
    /// # Errors
    ///
    /// As [`Access::token`].
    pub fn or_token(self, role: Role, token: impl Into<String>) -> Result<Self, WeakToken> {
        let mut tokens = match self.0 {
            Kind::Tokens(tokens) => tokens,
            Kind::ReadOnly | Kind::Check(_) => Vec::new(),
        };
        tokens.push((role, strong(token.into())?));
        Ok(Self(Kind::Tokens(tokens)))
    }

    /// Gives [`Role::View`] to everybody who can reach the router, without a credential. Figures show the
    /// names of prefixes, hosts and the namespace.
    pub fn read_only() -> Self {
        Self(Kind::ReadOnly)
    }

    /// Asks `check` for the role of each request; for hosts with a login of their own. [`Role::None`] is
    /// answered with 403.
    pub fn check(check: impl Fn(&Parts) -> Role + Send + Sync + 'static) -> Self {
        Self(Kind::Check(Arc::new(check)))
    }

    /// Whether a browser should ask its user for a password.
    pub(crate) fn asks(&self) -> bool {
        matches!(self.0, Kind::Tokens(_))
    }

    pub(crate) fn caller(&self, request: &Parts) -> Caller {
        let of = |role: Role| Caller { role, who: role.to_string() };
        match &self.0 {
            Kind::ReadOnly => of(Role::View),
            Kind::Check(check) => of(check(request)),
            Kind::Tokens(tokens) => match credential(request) {
                Some(given) => {
                    let role = role_of(tokens, &given.token);
                    let name = given.name.map(|name| format!("{role} ({name})"));
                    Caller { role, who: name.unwrap_or_else(|| role.to_string()) }
                }
                None => of(Role::None),
            },
        }
    }
}

/// Compares with every token, so that the time does not depend on which one it is.
fn role_of(tokens: &[(Role, String)], given: &str) -> Role {
    tokens.iter().fold(Role::None, |best, (role, token)| {
        let same = bool::from(token.as_bytes().ct_eq(given.as_bytes()));
        if same { best.max(*role) } else { best }
    })
}

struct Credential {
    token: String,
    /// The user name of Basic, which nothing has checked.
    name: Option<String>,
}

/// The longest part of a claimed user name that the audit log keeps, in characters.
const LONGEST_NAME: usize = 40;

/// The one `Authorization` header; of several, none counts.
fn credential(request: &Parts) -> Option<Credential> {
    let mut headers = request.headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (headers.next(), headers.next()) else { return None };
    let (scheme, rest) = only.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Credential { token: rest.trim().to_owned(), name: None });
    }
    let basic = scheme.eq_ignore_ascii_case("basic");
    let decoded = basic.then(|| STANDARD.decode(rest.trim()).ok()).flatten()?;
    let (name, token) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    let name: String = name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    let name = Some(name).filter(|name| !name.is_empty());
    Some(Credential { token: token.to_owned(), name })
}

fn strong(token: String) -> Result<String, WeakToken> {
    let sendable = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.len() < SHORTEST || !sendable { Err(WeakToken(())) } else { Ok(token) }
}

impl fmt::Debug for Access {
    /// Without the tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::ReadOnly => f.write_str("Access::read_only"),
            Kind::Check(_) => f.write_str("Access::check"),
            Kind::Tokens(tokens) => {
                let roles = tokens.iter().map(|(role, _)| role);
                f.write_str("Access::token ")?;
                f.debug_list().entries(roles).finish()
            }
        }
    }
}

/// A token is too short, or cannot be sent; from [`Access::token`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeakToken(());

impl fmt::Display for WeakToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a token has at least {SHORTEST} visible ASCII characters, for example those of `openssl rand -hex 16`"
        )
    }
}

impl std::error::Error for WeakToken {}
