//! What a setting is set to, whatever its key.

/// A setting's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a whole-number key.
    Int(i64),
    /// Of a number key.
    Float(f64),
    /// Of a text key.
    Text(String),
}
