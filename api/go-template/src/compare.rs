//! `eq`, `lt` and their relatives: values compare within their kind, integers across signedness.

use std::cmp::Ordering;

use super::builtins::{Builtin, Failure};
use super::format;
use super::value::{Slot, Value};

/// Returns whether the first value equals one of the others.
pub(super) fn equal(first: &Slot, others: &[Slot]) -> Result<bool, Failure> {
    if others.is_empty() {
        return Err("missing argument for comparison".into());
    }
    for other in others {
        if equal_pair(first.value(), other.value())? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal_pair(left: Option<&Value>, right: Option<&Value>) -> Result<bool, Failure> {
    let (Some(left), Some(right)) = (left, right) else {
        return Ok(left.is_none() && right.is_none());
    };
    if let (Some(left), Some(right)) = (integer(left), integer(right)) {
        return Ok(left == right);
    }
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        (Value::Float(left), Value::Float(right)) => Ok(left == right),
        (Value::Complex(..), Value::Complex(..)) | (Value::Text(_), Value::Text(_)) => Ok(left == right),
        _ if is_basic(left) || is_basic(right) => Err(incompatible(left, right)),
        (Value::Struct(_), Value::Struct(_)) if left.type_name() == right.type_name() => {
            if is_comparable(right) {
                return Ok(left == right);
            }
            Err(not_comparable(right))
        }
        (Value::List(_), Value::List(_)) | (Value::Map(_), Value::Map(_)) => Err(not_comparable(right)),
        _ => {
            let (left_type, right_type) = (left.type_name(), right.type_name());
            let (left, right) = (format::shown(left, 's'), format::shown(right, 'v'));
            Err(format!("non-comparable types {left}: {left_type}, {right_type}: {right}").into())
        }
    }
}

/// Returns whether the values stand in the order that the function asks for.
pub(super) fn ordered(builtin: Builtin, left: &Slot, right: &Slot) -> Result<bool, Failure> {
    let less = |or_equal| match (left.value(), right.value()) {
        (Some(left), Some(right)) => compare(left, right, or_equal),
        _ => Err(Failure::from("invalid type for comparison")),
    };
    match builtin {
        Builtin::Lt => less(false),
        Builtin::Le => less(true),
        Builtin::Gt => less(true).map(|less| !less),
        _ => less(false).map(|less| !less),
    }
}

fn compare(left: &Value, right: &Value, or_equal: bool) -> Result<bool, Failure> {
    let order = match (left, right) {
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        _ => match (integer(left), integer(right)) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ if !is_basic(left) || !is_basic(right) => return Err("invalid type for comparison".into()),
            _ if std::mem::discriminant(left) == std::mem::discriminant(right) => {
                return Err("invalid type for comparison".into());
            }
            _ => return Err(incompatible(left, right)),
        },
    };
    Ok(match order {
        Some(Ordering::Less) => true,
        Some(Ordering::Equal) => or_equal,
        _ => false,
    })
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(value) => Some(*value),
        Value::Byte(value) => Some(i64::from(*value)),
        _ => None,
    }
}

fn is_basic(value: &Value) -> bool {
    !matches!(
        value,
        Value::Nil | Value::List(_) | Value::Map(_) | Value::Struct(_)
    )
}

fn is_comparable(value: &Value) -> bool {
    match value {
        Value::Struct(structure) => structure.fields().iter().all(|(_, field)| is_comparable(field)),
        Value::List(_) | Value::Map(_) => false,
        _ => true,
    }
}

fn incompatible(left: &Value, right: &Value) -> Failure {
    let (left, right) = (left.type_name(), right.type_name());
    format!("incompatible types for comparison: {left} and {right}").into()
}

fn not_comparable(value: &Value) -> Failure {
    let shown = format::shown(value, 's');
    format!("non-comparable type {shown}: {}", value.type_name()).into()
}
