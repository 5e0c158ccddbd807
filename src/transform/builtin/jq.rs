//! Expressions of jq, for what is no plain path. Which expressions there are at all is said in `config::query`: those that end, and
//! whose output the record bounds. They are compiled once and shared by all threads.
//!
//! `tonumber` is our own: jaq's reads any JSON out of a string, and calls itself for each bracket in it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jaq_core::data::JustLut;
use jaq_core::load::{Arena, File, Loader, parse};
use jaq_core::native::{self, bome, v};
use jaq_core::{Compiler, Ctx, Vars, unwrap_valr};
use jaq_json::{Num, Val, read};

use crate::error::{Error, Result};
use crate::limits::{QUERY_NUMBER_BYTES_MAX, QUERY_RECORD_BYTES_MAX, QUERY_RECORD_DEPTH_MAX, QUERY_RECORD_VALUES_MAX};

/// A compiled expression.
pub(super) struct Expression(jaq_core::Filter<JustLut<Val>>);

const OURS: &str = "def tonumber: standpipe_number;";

impl Expression {
    /// Compiles an expression that was checked.
    pub(super) fn compile(text: &str) -> Result<Self> {
        let fault = |what: &str| Error::invalid(format!("jq does not understand {text:?}: {what}"));
        let ours = parse(OURS, |parser| parser.defs()).ok_or_else(|| fault("its own definitions"))?;
        let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()).chain(ours);
        let number: native::Filter<jaq_core::RunPtr<JustLut<Val>>> = ("standpipe_number", v(0), |cv| {
            bome(number(&cv.1).ok_or_else(|| jaq_core::Error::str("this is no number")))
        });
        let funs = jaq_core::funs()
            .chain(jaq_std::funs())
            .chain(jaq_json::funs())
            .chain([native::run::<JustLut<Val>>(number)]);
        let arena = Arena::default();
        let modules = Loader::new(defs).load(&arena, File { code: text, path: () }).map_err(|_| fault("its syntax"))?;
        let compiled = Compiler::default().with_funs(funs).compile(modules);
        compiled.map(Expression).map_err(|errors| {
            let unknown = errors.iter().flat_map(|(_, errors)| errors).map(|(name, _)| *name).next();
            fault(unknown.unwrap_or("a name in it"))
        })
    }

    /// The value that it gives, if it gives one.
    pub(super) fn value(&self, record: &Val) -> Result<Option<Val>, String> {
        let run = || {
            let context = Ctx::<JustLut<Val>>::new(&self.0.lut, Vars::new([]));
            self.0.id.run((context, record.clone())).map(unwrap_valr).next().transpose()
        };
        // Nothing in it is known to panic; were there anything, one record must not stop its stream.
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(value) => value.map_err(|error| shortened(&error.to_string())),
            Err(_) => Err("jq gave up".to_owned()),
        }
    }
}

/// A document for jq. It is JSON; what is too large for a tree, nested too deeply or has numbers that are too long is refused.
pub(super) fn document(text: &str) -> Result<Val, String> {
    bounded(text.as_bytes())?;
    read::parse_single(text.as_bytes()).map_err(|error| shortened(&error.to_string()))
}

/// A key's value as it is written: a string, a number or a boolean.
pub(super) fn text(value: &Val) -> Option<String> {
    match value {
        Val::TStr(bytes) => std::str::from_utf8(bytes).ok().map(str::to_owned),
        Val::Num(Num::Float(float)) if !float.is_finite() => None,
        Val::Num(_) | Val::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// The value of a JSON scalar, for those that need more than a copy: strings with escapes, numbers in other than the plain form.
pub(super) fn scalar(raw: &str) -> Option<Val> {
    if raw.len() > QUERY_NUMBER_BYTES_MAX && !raw.starts_with('"') {
        return None;
    }
    read::parse_single(raw.as_bytes()).ok()
}

fn number(value: &Val) -> Option<Val> {
    match value {
        Val::Num(_) => Some(value.clone()),
        Val::TStr(text) if text.len() <= QUERY_NUMBER_BYTES_MAX => {
            let is_one = text.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-')
                && text.last().is_some_and(u8::is_ascii_digit);
            if is_one { read::parse_single_num(text).map(Val::Num) } else { None }
        }
        _ => None,
    }
}

/// Checks what jq would take too long for, or too much memory, or too deep into the stack.
fn bounded(text: &[u8]) -> Result<(), String> {
    if text.len() > QUERY_RECORD_BYTES_MAX {
        return Err(format!(
            "the record has {} bytes, one of which jq is asked at most {QUERY_RECORD_BYTES_MAX}",
            text.len()
        ));
    }
    // Each value but the first begins behind a bracket or a comma.
    let (mut depth, mut digits, mut in_string, mut values) = (0usize, 0usize, false, 1usize);
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        digits =
            if !in_string && matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-') { digits + 1 } else { 0 };
        match byte {
            b'\\' if in_string => drop(bytes.next()),
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => (depth, values) = (depth + 1, values + 1),
            b',' if !in_string => values += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > QUERY_RECORD_DEPTH_MAX {
            return Err(format!("more than {QUERY_RECORD_DEPTH_MAX} objects and arrays are in one another"));
        }
        if values > QUERY_RECORD_VALUES_MAX {
            return Err(format!("the record has more than {QUERY_RECORD_VALUES_MAX} values, too many for jq"));
        }
        if digits > QUERY_NUMBER_BYTES_MAX {
            return Err(format!("a number has more than {QUERY_NUMBER_BYTES_MAX} characters"));
        }
    }
    Ok(())
}

/// Messages of jq repeat the value.
fn shortened(message: &str) -> String {
    const CHARS_MAX: usize = 300;
    message.chars().take(CHARS_MAX).collect()
}
