//! Which keys may become paths. Keys hold what strangers sent (partition values), so that anything unusual is refused.

use crate::disk::HIDDEN_PREFIX;
use crate::error::{Error, Result};
use crate::limits::{KEY_BYTES_MAX, PATH_NAME_BYTES_MAX};

/// How much of a key that is far too long is shown.
const SHOWN_CHARS: usize = 60;

/// [`Kind::Invalid`](crate::error::Kind::Invalid), naming the key, unless it is a plain relative path.
pub(super) fn check(key: &str) -> Result<()> {
    if key.len() > KEY_BYTES_MAX {
        let (start, len) = (key.chars().take(SHOWN_CHARS).collect::<String>(), key.len());
        return Err(Error::invalid(format!("key {start:?}... has {len} bytes, the limit is {KEY_BYTES_MAX}")));
    }
    let refuse = |why: String| Err(Error::invalid(format!("key {key:?} {why}")));
    if key.is_empty() {
        return refuse("is empty".into());
    }
    if let Some(bad) = key.chars().find(|c| c.is_control() || *c == '\\') {
        return refuse(format!("holds {bad:?}, which no path may"));
    }
    for name in key.split('/') {
        match name {
            "" => return refuse("begins or ends with a slash, or has two in a row".into()),
            "." | ".." => return refuse(format!("has the name {name:?}")),
            _ if name.len() > PATH_NAME_BYTES_MAX => {
                return refuse(format!("has a name of {} bytes, the limit is {PATH_NAME_BYTES_MAX}", name.len()));
            }
            _ if name.starts_with(HIDDEN_PREFIX) => {
                return refuse(format!("has a name that begins with {HIDDEN_PREFIX:?}, as temporary files do"));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_keys_are_refused_by_name() {
        let long_name = format!("a/{}/b", "ü".repeat(128));
        let long_key = "ab/".repeat(400);
        let cases = [
            ("", "is empty"),
            ("/a", "slash"),
            ("a/", "slash"),
            ("a//b", "slash"),
            ("/", "slash"),
            (".", "name \".\""),
            ("a/./b", "name \".\""),
            ("../a", "name \"..\""),
            ("a/..", "name \"..\""),
            ("a/../../etc/passwd", "name \"..\""),
            ("a\\b", "'\\\\'"),
            ("a\0b", "'\\0'"),
            ("a\nb", "'\\n'"),
            ("a\u{7f}", "'\\u{7f}'"),
            ("a\u{85}b", "'\\u{85}'"),
            ("a/.tmp-0123456789abcdef", "temporary"),
            (&long_name, "256 bytes, the limit is 255"),
            (&long_key, "1200 bytes, the limit is 1024"),
        ];
        for (key, why) in cases {
            let message = check(key).expect_err(key).to_string();
            assert!(message.contains(why) && message.starts_with("key \""), "{message}");
        }
    }

    #[test]
    fn unusual_but_plain_keys_pass() {
        let long_name = "x".repeat(255);
        for key in ["a", "a/b.gz", "...", "..a/b..", " ", "-rf", "~", "*?:|<>\"'%2e", "日/ü", ".hidden", &long_name] {
            check(key).unwrap();
        }
    }

    proptest! {
        /// Whatever passes is, to the standard library, a path of plain names that say the same.
        #[test]
        fn what_passes_is_a_path_of_plain_names(key in "[a./\\\\\u{0}\n~ü]{0,12}") {
            if check(&key).is_ok() {
                let names: Vec<_> = std::path::Path::new(&key).components().map(|name| match name {
                    std::path::Component::Normal(name) => name.to_str().expect("it was a string"),
                    other => panic!("{other:?} in {key:?}"),
                }).collect();
                prop_assert_eq!(names.join("/"), key);
            }
        }
    }
}
