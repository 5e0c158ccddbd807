//! A request or an answer without its encoding: what both of them can say.

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// Nothing; in a request as if the member were absent.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text; in JSON also a blob, in base64.
    Text(String),
    /// A blob.
    Blob(Vec<u8>),
    /// Milliseconds since 1970.
    Time(u64),
    /// A list.
    List(Vec<Document>),
    /// A structure or a map, in order.
    Map(Vec<(String, Document)>),
}
