//! Which expressions of jq are taken: those whose work is bounded by the size of the record. jq has no fuel that could run
//! out, so what may run long is refused before it runs:
//! - definitions, variables, `reduce`, `foreach`, `label`, `..`, assignments, and every function that is not in the
//!   tables below: `range`, `limit`, `repeat`, `until`, `recurse`, `input`, `env`, `now`, `halt`, `localtime`, …
//! - several values on a side of an operator or as an entry of an object: each would be combined with each;
//! - arguments, indices and regular expressions that are not constant;
//! - `*` of what is not surely a number: jq repeats strings with it;
//! - more copies of the record than [`QUERY_COPIES_MAX`], as `. + . | . + .` makes.
//!
//! An expression must give one value at most: `first(.items[].id)` and not `.items[].id`.

use jaq_core::load::lex::{Lexer, StrPart};
use jaq_core::load::parse::{BinaryOp, Parser, Term};
use jaq_core::ops::Math;
use jaq_core::path::Part;

use super::Fault;
use crate::limits::{QUERY_COPIES_MAX, QUERY_NEGATIONS_MAX};

/// Functions of the value alone: what they make is no larger than a few times their input.
const PLAIN: [&str; 43] = [
    "not",
    "type",
    "keys",
    "keys_unsorted",
    "to_entries",
    "first",
    "last",
    "min",
    "max",
    "sort",
    "unique",
    "reverse",
    "any",
    "all",
    "ascii_downcase",
    "ascii_upcase",
    "trim",
    "ltrim",
    "rtrim",
    "todate",
    "todateiso8601",
    "gmtime",
    "empty",
    "values",
    "nulls",
    "strings",
    "numbers",
    "booleans",
    "arrays",
    "objects",
    "scalars",
    "iterables",
    "true",
    "false",
    "null",
    "error",
    "implode",
    "explode",
    "infinite",
    "nan",
    "isnan",
    "isinfinite",
    "isnormal",
];
/// The same, and they give numbers.
const NUMBERS: [&str; 10] =
    ["length", "utf8bytelength", "tonumber", "floor", "ceil", "round", "abs", "mktime", "fromdate", "fromdateiso8601"];
/// The same, and what they make may be six times as large, as one byte becomes `\u0000`.
const LARGER: [&str; 9] = ["tostring", "tojson", "@text", "@json", "@html", "@uri", "@base64", "@base64d", "@sh"];
const LARGER_TIMES: u64 = 6;
/// Functions whose arguments, so many or so few, must be constant.
const CONSTANT: [(&str, &[usize]); 16] = [
    ("has", &[1]),
    ("contains", &[1]),
    ("inside", &[1]),
    ("startswith", &[1]),
    ("endswith", &[1]),
    ("ltrimstr", &[1]),
    ("rtrimstr", &[1]),
    ("split", &[1, 2]),
    ("test", &[1, 2]),
    ("match", &[1]),
    ("capture", &[1, 2]),
    ("sub", &[2]),
    ("index", &[1]),
    ("rindex", &[1]),
    ("strftime", &[1]),
    ("strptime", &[1]),
];
/// Those of them that may make more than their input is.
const PARTS: [&str; 3] = ["match", "capture", "sub"];
/// Functions that do something with one value after the other.
const EACH: [&str; 7] = ["map", "sort_by", "group_by", "unique_by", "min_by", "max_by", "select"];
/// Functions of what their argument gives.
const OF_MANY: [&str; 4] = ["first", "last", "any", "all"];

/// Checks an expression; the place in the fault is a byte of it.
pub(super) fn check(text: &str) -> Result<(), Fault> {
    // Each would be a call of the parser within that of the one before.
    if text.bytes().filter(|byte| *byte == b'-').count() > QUERY_NEGATIONS_MAX {
        return Err(Fault::new(0, format!("it has more than {QUERY_NEGATIONS_MAX} minus signs")));
    }
    let place = |part: &str| jaq_core::load::span(text, part).start;
    let tokens = Lexer::new(text).lex().map_err(|errors| {
        let (expected, found) =
            errors.first().map_or(("nothing", text), |(expected, found)| (expected.as_str(), *found));
        Fault::new(place(found), format!("jq expects {expected} here"))
    })?;
    let term = Parser::new(&tokens).parse(Parser::term).map_err(|errors| match errors.first() {
        Some((expected, Some(found))) => {
            Fault::new(place(found.as_str()), format!("jq expects {} here", expected.as_str()))
        }
        Some((expected, None)) => Fault::new(text.len(), format!("jq expects {} here", expected.as_str())),
        None => Fault::new(0, "jq does not understand it"),
    })?;
    let found = Checker { text }.term(&term)?;
    if found.many {
        return Err(Fault::new(0, "it may give more than one value: take one, as in first(.items[].id)"));
    }
    Ok(())
}

/// What is known of what a term gives.
#[derive(Clone, Copy)]
struct Shape {
    /// Whether it may give more than one value.
    many: bool,
    /// How much larger than its input all that it gives may be.
    copies: u64,
    /// Whether it surely gives numbers, if anything.
    number: bool,
}

impl Shape {
    const ONE: Shape = Shape { many: false, copies: 1, number: false };
    const NUMBER: Shape = Shape { number: true, ..Shape::ONE };

    /// What is made of both.
    fn and(self, other: Shape) -> Shape {
        Shape {
            many: self.many || other.many,
            copies: self.copies.saturating_add(other.copies),
            number: self.number && other.number,
        }
    }
}

struct Checker<'a> {
    text: &'a str,
}

type Checked = Result<Shape, Fault>;

impl<'a> Checker<'a> {
    fn term(&self, term: &Term<&'a str>) -> Checked {
        let shape = match term {
            Term::Id | Term::Arr(None) => Shape::ONE,
            Term::Num(_) => Shape::NUMBER,
            Term::Str(format, parts) => self.string(*format, parts)?,
            Term::Arr(Some(inner)) => Shape { many: false, number: false, ..self.term(inner)? },
            Term::Obj(entries) => self.object(entries)?,
            Term::Neg(inner) => Shape { number: true, ..self.one(inner)? },
            Term::BinOp(left, op, right) => self.operation(left, op, right)?,
            Term::TryCatch(inner, None) => self.term(inner)?,
            Term::TryCatch(inner, Some(catch)) => self.term(inner)?.and(self.term(catch)?),
            Term::IfThenElse(cases, otherwise) => self.cases(cases, otherwise.as_deref())?,
            Term::Call(name, arguments) => self.call(name, arguments)?,
            Term::Path(from, path) => self.path(from, &path.0)?,
            Term::Var(name) => return Err(self.refused(name, &format!("a query has no variables such as {name}"))),
            Term::Label(name, _) | Term::Break(name) => return Err(self.refused(name, "a query has no labels")),
            Term::Fold(name, ..) => return Err(self.refused(name, &format!("a query has no {name}: it may run long"))),
            Term::Recurse => return Err(Fault::new(0, "a query has no ..: it may run long")),
            Term::Def(..) => return Err(Fault::new(0, "a query defines no functions")),
        };
        if shape.copies > QUERY_COPIES_MAX {
            let why = format!("it makes more than {QUERY_COPIES_MAX} copies of the record");
            return Err(Fault::new(0, why));
        }
        Ok(shape)
    }

    fn refused(&self, part: &'a str, why: &str) -> Fault {
        Fault::new(jaq_core::load::span(self.text, part).start, why)
    }

    /// A term that gives one value at most.
    fn one(&self, term: &Term<&'a str>) -> Checked {
        let shape = self.term(term)?;
        if shape.many {
            return Err(Fault::new(0, "several values stand where one is wanted: take one, as in first(.items[].id)"));
        }
        Ok(shape)
    }

    fn string(&self, format: Option<&'a str>, parts: &[StrPart<&'a str, Term<&'a str>>]) -> Checked {
        if let Some(format) = format.filter(|format| !LARGER.contains(format)) {
            return Err(self.unknown(format, 0));
        }
        let mut copies = 1u64;
        for part in parts {
            if let StrPart::Term(term) = part {
                copies = copies.saturating_add(self.one(term)?.copies.saturating_mul(LARGER_TIMES));
            }
        }
        Ok(Shape { copies, ..Shape::ONE })
    }

    fn object(&self, entries: &[(Term<&'a str>, Option<Term<&'a str>>)]) -> Checked {
        let mut shape = Shape::ONE;
        for (key, value) in entries {
            shape = shape.and(self.one(key)?);
            if let Some(value) = value {
                shape = shape.and(self.one(value)?);
            }
        }
        Ok(Shape { number: false, ..shape })
    }

    fn operation(&self, left: &Term<&'a str>, op: &BinaryOp<&'a str>, right: &Term<&'a str>) -> Checked {
        match op {
            BinaryOp::Pipe(None) => {
                let (left, right) = (self.term(left)?, self.term(right)?);
                let copies = left.copies.saturating_mul(right.copies);
                Ok(Shape { many: left.many || right.many, copies, number: right.number })
            }
            BinaryOp::Comma => Ok(Shape { many: true, ..self.term(left)?.and(self.term(right)?) }),
            BinaryOp::Alt => Ok(self.term(left)?.and(self.term(right)?)),
            BinaryOp::Or | BinaryOp::And | BinaryOp::Cmp(_) => {
                let shape = self.one(left)?.and(self.one(right)?);
                Ok(Shape { number: false, ..shape })
            }
            BinaryOp::Math(Math::Mul) => {
                let shape = self.one(left)?.and(self.one(right)?);
                if shape.number {
                    return Ok(shape);
                }
                let why = "* repeats strings: write (… | tonumber) where both sides are numbers";
                Err(Fault::new(0, why))
            }
            BinaryOp::Math(_) => Ok(self.one(left)?.and(self.one(right)?)),
            BinaryOp::Pipe(Some(_)) => Err(Fault::new(0, "a query has no variables")),
            BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {
                Err(Fault::new(0, "a query changes nothing"))
            }
        }
    }

    fn cases(&self, cases: &[(Term<&'a str>, Term<&'a str>)], otherwise: Option<&Term<&'a str>>) -> Checked {
        let mut shape = otherwise.map_or(Ok(Shape::ONE), |term| self.term(term))?;
        for (condition, then) in cases {
            let condition = self.one(condition)?;
            shape = shape.and(self.term(then)?);
            shape.copies = shape.copies.saturating_add(condition.copies);
        }
        Ok(shape)
    }

    fn path(&self, from: &Term<&'a str>, parts: &[(Part<Term<&'a str>>, jaq_core::path::Opt)]) -> Checked {
        let mut shape = Shape { number: false, ..self.term(from)? };
        for (part, _) in parts {
            match part {
                Part::Range(None, None) => shape.many = true,
                Part::Index(index) => constant(index, "an index")?,
                Part::Range(from, to) => {
                    for bound in [from, to].into_iter().flatten() {
                        constant(bound, "an index")?;
                    }
                }
            }
        }
        Ok(shape)
    }

    fn call(&self, name: &'a str, arguments: &[Term<&'a str>]) -> Checked {
        let wants = |known: &[(&str, &[usize])]| {
            known.iter().any(|(known, counts)| *known == name && counts.contains(&arguments.len()))
        };
        match arguments {
            [] if PLAIN.contains(&name) => Ok(Shape::ONE),
            [] if NUMBERS.contains(&name) => Ok(Shape::NUMBER),
            [] if LARGER.contains(&name) => Ok(Shape { copies: LARGER_TIMES, ..Shape::ONE }),
            [each] if EACH.contains(&name) => {
                let each = if name == "map" { self.term(each)? } else { self.one(each)? };
                Ok(Shape { many: false, number: false, copies: each.copies.saturating_add(1) })
            }
            [many] if OF_MANY.contains(&name) => Ok(Shape { many: false, ..self.term(many)? }),
            _ if wants(&CONSTANT) => {
                arguments.iter().try_for_each(|argument| constant(argument, &format!("an argument of {name}")))?;
                let copies = if PARTS.contains(&name) { 2 } else { 1 };
                Ok(Shape { copies, ..Shape::ONE })
            }
            _ => Err(self.unknown(name, arguments.len())),
        }
    }

    fn unknown(&self, name: &'a str, arguments: usize) -> Fault {
        let which = match arguments {
            0 => String::new(),
            1 => " with an argument".to_owned(),
            count => format!(" with {count} arguments"),
        };
        let why = format!("there is no function {name}{which} here: only those whose work is bounded");
        self.refused(name, &why)
    }
}

/// Checks that a term is a number or a plain string.
fn constant(term: &Term<&str>, what: &str) -> Result<(), Fault> {
    let is_constant = match term {
        Term::Num(_) => true,
        Term::Str(None, parts) => !parts.iter().any(|part| matches!(part, StrPart::Term(_))),
        Term::Neg(inner) => matches!(**inner, Term::Num(_)),
        _ => false,
    };
    if is_constant { Ok(()) } else { Err(Fault::new(0, format!("{what} must be constant"))) }
}
