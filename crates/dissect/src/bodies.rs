//! What is kept of bodies, by their content type.

use std::fmt;
use std::str::FromStr;

/// What happens to a body, besides being counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyAction {
    /// It is kept up to the payload limit.
    #[default]
    Keep,
    /// Its SHA-256 is kept: of the bytes as transferred, without chunks or frames, before decoding.
    Hash,
    /// Nothing of it is kept, and the rest of it is not looked at.
    Drop,
}

/// Rules by content type, such as `image/*=hash,video/*=drop`. The first that fits a body decides;
/// one that no rule fits is kept. A `*` stands for any type or any subtype, and alone for any
/// body, also one without a content type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodyPolicy {
    rules: Vec<Rule>,
}

/// Most rules of a policy.
const RULES: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// In lower case; `None` for any.
    kind: Option<Box<str>>,
    subtype: Option<Box<str>>,
    action: BodyAction,
}

impl Rule {
    fn fits(&self, kind: &[u8], subtype: &[u8]) -> bool {
        let is = |pattern: &Option<Box<str>>, part: &[u8]| {
            pattern.as_ref().is_none_or(|p| p.as_bytes().eq_ignore_ascii_case(part))
        };
        is(&self.kind, kind) && is(&self.subtype, subtype)
    }
}

impl BodyPolicy {
    /// What happens to a body with that Content-Type header; empty where there is none.
    pub fn action(&self, content_type: &[u8]) -> BodyAction {
        if self.rules.is_empty() {
            return BodyAction::Keep;
        }
        let end = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
        let media = content_type.get(..end).unwrap_or_default().trim_ascii();
        let slash = memchr::memchr(b'/', media).unwrap_or(media.len());
        let (kind, subtype) = media.split_at(slash);
        let subtype = subtype.strip_prefix(b"/").unwrap_or(subtype);
        self.rules.iter().find(|r| r.fits(kind, subtype)).map(|r| r.action).unwrap_or_default()
    }
}

/// Why text is no policy: one line, with the rule and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBodyPolicy {
    /// A rule without an action.
    #[error(
        "rule {0:?} has no action: write it as TYPE/SUBTYPE=keep, =hash or =drop, for example image/*=hash"
    )]
    NoAction(String),
    /// An action that does not exist.
    #[error("rule {0:?} has an unknown action: it is one of keep, hash and drop")]
    UnknownAction(String),
    /// What should be a content type is none.
    #[error("rule {0:?} does not begin with a content type: write TYPE/SUBTYPE, TYPE/* or *")]
    BadType(String),
    /// More rules than may be.
    #[error("more than {RULES} rules: write fewer, with * for any type or subtype")]
    TooMany,
}

/// A part of a content type: a token (RFC 9110 section 5.6.2) or `*`.
fn part(text: &str) -> Option<Option<Box<str>>> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
    match text {
        "*" => Some(None),
        _ if !text.is_empty() && text.bytes().all(token) => Some(Some(text.to_ascii_lowercase().into())),
        _ => None,
    }
}

impl FromStr for BodyPolicy {
    type Err = BadBodyPolicy;

    fn from_str(text: &str) -> Result<Self, BadBodyPolicy> {
        let mut rules = Vec::new();
        for rule in text.split(',').map(str::trim).filter(|r| !r.is_empty()) {
            let name = || rule.to_owned();
            let (media, action) = rule.rsplit_once('=').ok_or_else(|| BadBodyPolicy::NoAction(name()))?;
            let action = match action.trim() {
                "keep" => BodyAction::Keep,
                "hash" => BodyAction::Hash,
                "drop" => BodyAction::Drop,
                "" => return Err(BadBodyPolicy::NoAction(name())),
                _ => return Err(BadBodyPolicy::UnknownAction(name())),
            };
            let media = media.trim();
            let parts = match media.split_once('/') {
                Some((kind, subtype)) => part(kind).zip(part(subtype)),
                None if media == "*" => Some((None, None)),
                None => None,
            };
            let (kind, subtype) = parts.ok_or_else(|| BadBodyPolicy::BadType(name()))?;
            if rules.len() >= RULES {
                return Err(BadBodyPolicy::TooMany);
            }
            rules.push(Rule { kind, subtype, action });
        }
        Ok(Self { rules })
    }
}

impl fmt::Display for BodyPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, rule) in self.rules.iter().enumerate() {
            let any = |p: &Option<Box<str>>| p.as_deref().unwrap_or("*").to_owned();
            let action = match rule.action {
                BodyAction::Keep => "keep",
                BodyAction::Hash => "hash",
                BodyAction::Drop => "drop",
            };
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{}/{}={action}", any(&rule.kind), any(&rule.subtype))?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_fits_decides() {
        let policy: BodyPolicy =
            "image/png=keep, Image/*=hash,video/*=drop,*/zip=drop,*=keep".parse().unwrap();
        for (content_type, action) in [
            ("image/png", BodyAction::Keep),
            ("IMAGE/JPEG; q=1", BodyAction::Hash),
            ("video/mp4", BodyAction::Drop),
            ("application/zip", BodyAction::Drop),
            ("text/html; charset=utf-8", BodyAction::Keep),
            ("", BodyAction::Keep),
            ("image", BodyAction::Hash),
        ] {
            assert_eq!(policy.action(content_type.as_bytes()), action, "{content_type}");
        }
        assert_eq!("*=drop".parse::<BodyPolicy>().unwrap().action(b""), BodyAction::Drop);
        assert_eq!("".parse::<BodyPolicy>().unwrap(), BodyPolicy::default());
        assert_eq!(policy.to_string().parse::<BodyPolicy>().unwrap(), policy);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, begin) in [
            ("image/*", "rule \"image/*\" has no action"),
            ("a/b=", "rule \"a/b=\" has no action"),
            ("a/b=keep,c/d=burn", "rule \"c/d=burn\" has an unknown action"),
            ("image=drop", "rule \"image=drop\" does not begin with a content type"),
            ("/x=drop", "rule \"/x=drop\" does not begin"),
            ("a b/c=drop", "rule \"a b/c=drop\" does not begin"),
        ] {
            let error = text.parse::<BodyPolicy>().unwrap_err().to_string();
            assert!(error.starts_with(begin), "{error}");
        }
        assert_eq!("a/b=drop,".repeat(65).parse::<BodyPolicy>(), Err(BadBodyPolicy::TooMany));
    }
}
