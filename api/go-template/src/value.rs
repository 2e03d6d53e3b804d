//! The data a template sees, with the Go types that decide how it prints, compares and is looked up.

use std::sync::Arc;

/// A value as Go would hold it. Cloning is cheap. Printing and dropping recurse by the nesting of the data, which
/// JSON limits to 128.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An `interface{}` that holds nothing; JSON's `null`.
    Nil,
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `uint8`: what `index` takes out of a text.
    Byte(u8),
    /// `float64`.
    Float(f64),
    /// `complex128`; only templates that write an imaginary literal make one.
    Complex(f64, f64),
    /// `string`: bytes, mostly UTF-8.
    Text(Arc<[u8]>),
    /// `[]interface{}` or `[]string`.
    List(List),
    /// `map[string]interface{}` or `map[string]string`.
    Map(Map),
    /// A struct without a name.
    Struct(Struct),
}

/// The static type of what a list or map holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Any,
    Text,
}

/// A Go slice: a window on shared items. Slicing again may reach up to the end of the items behind it.
#[derive(Clone, Debug)]
pub struct List {
    element: Element,
    items: Arc<[Value]>,
    start: usize,
    len: usize,
    end: usize,
}

/// A Go map with string keys, kept in the order in which Go prints and ranges.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    element: Element,
    entries: Arc<[(Arc<[u8]>, Value)]>,
}

/// A Go struct: its fields in the order of declaration. A field that is not there is an error, not a missing key.
#[derive(Clone, Debug, PartialEq)]
pub struct Struct {
    fields: Arc<[(Arc<str>, Value)]>,
}

impl Value {
    /// Returns a `[]interface{}`.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(List::new(Element::Any, items.into_iter().collect()))
    }

    /// Returns a `[]string`.
    pub fn strings<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> Self {
        let items = items.into_iter().map(|item| Self::from(item.as_ref())).collect();
        Self::List(List::new(Element::Text, items))
    }

    /// Returns a `map[string]interface{}`: a missing key is `<no value>`, or an error with
    /// [`MissingKey::Error`](super::MissingKey::Error).
    pub fn map<K: AsRef<str>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(Map::new(Element::Any, entries))
    }

    /// Returns a `map[string]string`: `index` gives an empty text for a missing key.
    pub fn string_map<K: AsRef<str>, T: AsRef<str>>(entries: impl IntoIterator<Item = (K, T)>) -> Self {
        let entries = entries
            .into_iter()
            .map(|(key, value)| (key, Self::from(value.as_ref())));
        Self::Map(Map::new(Element::Text, entries))
    }

    /// Returns a struct with these fields.
    pub fn structure<K: AsRef<str>>(fields: impl IntoIterator<Item = (K, Self)>) -> Self {
        let fields = fields
            .into_iter()
            .map(|(name, value)| (Arc::from(name.as_ref()), value))
            .collect();
        Self::Struct(Struct { fields })
    }

    /// Returns the name of the Go type.
    pub(super) fn type_name(&self) -> String {
        match self {
            Self::Nil => "interface {}".to_owned(),
            Self::Bool(_) => "bool".to_owned(),
            Self::Int(_) => "int".to_owned(),
            Self::Byte(_) => "uint8".to_owned(),
            Self::Float(_) => "float64".to_owned(),
            Self::Complex(..) => "complex128".to_owned(),
            Self::Text(_) => "string".to_owned(),
            Self::List(list) => format!("[]{}", list.element.type_name()),
            Self::Map(map) => format!("map[string]{}", map.element.type_name()),
            Self::Struct(structure) => structure.type_name(),
        }
    }

    /// Returns what `if` makes of the value.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Byte(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Complex(real, imaginary) => *real != 0.0 || *imaginary != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Struct(_) => true,
        }
    }
}

impl Element {
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Text => "string",
        }
    }

    /// Wraps what such a container holds.
    fn slot(self, value: &Value) -> Slot {
        match self {
            Self::Any => Slot::Any(value.clone()),
            Self::Text => Slot::Typed(value.clone()),
        }
    }

    /// Returns the type's zero value.
    pub(super) fn zero(self) -> Slot {
        match self {
            Self::Any => Slot::Any(Value::Nil),
            Self::Text => Slot::Typed(Value::from("")),
        }
    }
}

impl List {
    fn new(element: Element, items: Arc<[Value]>) -> Self {
        let len = items.len();
        Self {
            element,
            items,
            start: 0,
            len,
            end: len,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn capacity(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    pub(super) fn items(&self) -> &[Value] {
        self.items
            .get(self.start..self.start.saturating_add(self.len))
            .unwrap_or_default()
    }

    pub(super) fn slot(&self, index: usize) -> Option<Slot> {
        self.items().get(index).map(|item| self.element.slot(item))
    }

    /// Returns the window `[from:to:capacity]`; the caller has checked `from <= to <= capacity <= self.capacity()`.
    pub(super) fn window(&self, from: usize, to: usize, capacity: usize) -> Self {
        Self {
            element: self.element,
            items: Arc::clone(&self.items),
            start: self.start.saturating_add(from),
            len: to.saturating_sub(from),
            end: self.start.saturating_add(capacity),
        }
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.element == other.element && self.items() == other.items()
    }
}

impl Map {
    fn new<K: AsRef<str>>(element: Element, entries: impl IntoIterator<Item = (K, Value)>) -> Self {
        let sorted: std::collections::BTreeMap<Arc<[u8]>, Value> = entries
            .into_iter()
            .map(|(key, value)| (Arc::from(key.as_ref().as_bytes()), value))
            .collect();
        Self {
            element,
            entries: sorted.into_iter().collect(),
        }
    }

    pub(super) fn element(&self) -> Element {
        self.element
    }

    pub(super) fn entries(&self) -> &[(Arc<[u8]>, Value)] {
        &self.entries
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Slot> {
        let found = self
            .entries
            .binary_search_by(|(candidate, _)| candidate.as_ref().cmp(key))
            .ok()?;
        self.entry(found).map(|(_, value)| value)
    }

    pub(super) fn entry(&self, index: usize) -> Option<(Slot, Slot)> {
        self.entries.get(index).map(|(key, value)| {
            let key = Slot::Typed(Value::Text(Arc::clone(key)));
            (key, self.element.slot(value))
        })
    }
}

impl Struct {
    pub(super) fn fields(&self) -> &[(Arc<str>, Value)] {
        &self.fields
    }

    pub(super) fn get(&self, name: &str) -> Option<Slot> {
        let (_, value) = self
            .fields
            .iter()
            .find(|(candidate, _)| candidate.as_ref() == name)?;
        Some(match value {
            Value::Nil => Slot::Any(Value::Nil),
            value => Slot::Typed(value.clone()),
        })
    }

    fn type_name(&self) -> String {
        if self.fields.is_empty() {
            return "struct {}".to_owned();
        }
        let fields: Vec<String> = self
            .fields
            .iter()
            .map(|(name, value)| format!("{name} {}", value.type_name()))
            .collect();
        format!("struct {{ {} }}", fields.join("; "))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Arc::from(text.as_bytes()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Arc::from(text.into_bytes()))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&serde_json::Value> for Value {
    /// Objects and arrays hold `interface{}`; a number without fraction and exponent is an `int` if it fits.
    fn from(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(integer) => Self::Int(integer),
                None => Self::Float(number.as_f64().unwrap_or_default()),
            },
            serde_json::Value::String(text) => Self::from(text.as_str()),
            serde_json::Value::Array(items) => Self::list(items.iter().map(Self::from)),
            serde_json::Value::Object(entries) => {
                Self::map(entries.iter().map(|(key, value)| (key, Self::from(value))))
            }
        }
    }
}

/// A value on its way through a pipeline. Whether it comes out of an `interface{}` decides about a few rules.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    /// Nothing at all: a missing key, or an interface that held nothing after a pipeline opened it.
    Missing,
    /// What an `interface{}` holds, possibly [`Value::Nil`].
    Any(Value),
    /// A value of its own type; never [`Value::Nil`].
    Typed(Value),
}

impl Slot {
    /// Wraps data handed to the template.
    pub(super) fn of(value: Value) -> Self {
        Self::Any(value).opened()
    }

    /// Takes the value out of its interface.
    pub(super) fn opened(self) -> Self {
        match self {
            Self::Any(Value::Nil) => Self::Missing,
            Self::Any(value) => Self::Typed(value),
            other => other,
        }
    }

    /// Returns the value, if there is one.
    pub(super) fn value(&self) -> Option<&Value> {
        match self {
            Self::Missing | Self::Any(Value::Nil) => None,
            Self::Any(value) | Self::Typed(value) => Some(value),
        }
    }

    /// Returns the name of the static type.
    pub(super) fn type_name(&self) -> String {
        match self {
            Self::Missing | Self::Any(_) => "interface {}".to_owned(),
            Self::Typed(value) => value.type_name(),
        }
    }

    pub(super) fn is_true(&self) -> bool {
        self.value().is_some_and(Value::is_true)
    }
}
