//! What the price table says: the estimate of a run whose agent reported no cost. Pure.

use std::collections::BTreeMap;

use axon_api::agents::AgentType;
use axon_api::money::Money;
use axon_api::price::Price;
use axon_api::{Task, yaml};
use serde_json::{Map, Value};

/// What models cost. Empty unless somebody has configured one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceTable {
    models: BTreeMap<String, Price>,
    /// Beginnings of names, the longest first.
    prefixes: Vec<(String, Price)>,
    /// Models that agents use if a Task names none.
    default_models: BTreeMap<AgentType, String>,
}

/// Everything that is wrong with a price table, each with the field concerned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct BadTable(Vec<String>);

impl PriceTable {
    /// Reads a table: `models` has, by name, `input` and `output`, and optionally `cacheRead` and `cacheWrite`, in US
    /// dollars per million tokens; `defaultModels` has, by agent, the model that it uses if a Task names none. A name
    /// that ends in `*` stands for all models that begin so.
    ///
    /// # Errors
    /// [`BadTable`] with everything that is wrong.
    pub fn parse(text: &str) -> Result<Self, BadTable> {
        let document: Value = yaml::from_str(text).map_err(|error| BadTable(vec![error.to_string()]))?;
        let mut reading = Reading::default();
        let table = reading.table(&document);
        if reading.wrong.is_empty() {
            Ok(table)
        } else {
            Err(BadTable(reading.wrong))
        }
    }

    /// Returns the number of models and prefixes that have a price.
    #[must_use]
    pub fn len(&self) -> usize {
        self.models.len() + self.prefixes.len()
    }

    /// Returns true for a table without prices.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the price of a Task's model: of the name itself, else of the longest prefix.
    #[must_use]
    pub fn price_of(&self, task: &Task) -> Option<&Price> {
        let named = task.spec.model.as_ref().filter(|model| !model.is_empty());
        self.price(named.or_else(|| self.default_models.get(&task.spec.agent))?)
    }

    fn price(&self, model: &str) -> Option<&Price> {
        let of_prefix = || {
            let mut prefixes = self.prefixes.iter();
            prefixes.find(|(prefix, _)| model.starts_with(prefix.as_str()))
        };
        self.models
            .get(model)
            .or_else(|| of_prefix().map(|(_, price)| price))
    }
}

const FIELDS: [&str; 2] = ["models", "defaultModels"];
const PRICES: [&str; 4] = ["input", "output", "cacheRead", "cacheWrite"];
/// Collects what is wrong, so that all of it can be put right at once.
#[derive(Default)]
struct Reading {
    wrong: Vec<String>,
}

impl Reading {
    fn table(&mut self, document: &Value) -> PriceTable {
        let mut table = PriceTable::default();
        let Some(fields) = document.as_object() else {
            self.wrong.push("is no map with the field models".to_owned());
            return table;
        };
        self.unknown("", fields, &FIELDS);
        for (name, prices) in self.map("models", fields.get("models")) {
            let price = self.price(&name, &prices);
            match name.split_once('*') {
                None => {
                    table.models.insert(name, price);
                }
                Some((prefix, "")) => table.prefixes.push((prefix.to_owned(), price)),
                Some(_) => self
                    .wrong
                    .push(format!("models.{name}: a * may stand only at the end")),
            }
        }
        table
            .prefixes
            .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        if table.is_empty() && self.wrong.is_empty() {
            self.wrong.push("models: has no model".to_owned());
        }
        for (agent, model) in self.map("defaultModels", fields.get("defaultModels")) {
            match (agent.parse::<AgentType>(), model.as_str()) {
                (Err(_), _) => self
                    .wrong
                    .push(format!("defaultModels.{agent}: is no type of agent")),
                (_, None | Some("")) => self
                    .wrong
                    .push(format!("defaultModels.{agent}: is no name of a model")),
                (Ok(_), Some(model)) if table.price(model).is_none() => self
                    .wrong
                    .push(format!("defaultModels.{agent}: models has no price of {model}")),
                (Ok(kind), Some(model)) => {
                    table.default_models.insert(kind, model.to_owned());
                }
            }
        }
        table
    }

    fn price(&mut self, model: &str, prices: &Value) -> Price {
        let Some(prices) = prices.as_object() else {
            self.wrong
                .push(format!("models.{model}: is no map with input and output"));
            return Price::default();
        };
        self.unknown(&format!("models.{model}."), prices, &PRICES);
        let mut read = |field: &str| match prices.get(field).map(dollars) {
            None => None,
            Some(Ok(price)) => Some(price),
            Some(Err(why)) => {
                self.wrong.push(format!("models.{model}.{field}: {why}"));
                Some(Money::default())
            }
        };
        let [input, output, cache_read, cache_write] = PRICES.map(&mut read);
        for (field, price) in [("input", input), ("output", output)] {
            if price.is_none() {
                self.wrong.push(format!("models.{model}.{field}: is missing"));
            }
        }
        let input = input.unwrap_or_default();
        Price {
            input,
            output: output.unwrap_or_default(),
            // What no other price is named for is charged as the input that it is.
            cache_read: cache_read.unwrap_or(input),
            cache_write: cache_write.unwrap_or(input),
        }
    }

    fn map(&mut self, field: &str, value: Option<&Value>) -> Map<String, Value> {
        match value {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(map)) => map.clone(),
            Some(_) => {
                self.wrong.push(format!("{field}: is no map"));
                Map::new()
            }
        }
    }

    fn unknown(&mut self, place: &str, map: &Map<String, Value>, known: &[&str]) {
        for field in map.keys().filter(|field| !known.contains(&field.as_str())) {
            let known = known.join(", ");
            self.wrong
                .push(format!("{place}{field}: is no field; there are {known}"));
        }
    }
}

/// Reads a price, written as a number or as a text. Beyond a million dollars for a million tokens it is a mistake, such as
/// a price of a thousand million.
fn dollars(value: &Value) -> Result<Money, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Money::reported(&text).ok_or_else(|| format!("{text:?} is no number of dollars from 0 to 1000000"))
}

#[cfg(test)]
mod tests {
    use axon_api::usage::Usage;

    use super::*;
    use crate::task::fixtures::task;

    const TABLE: &str = "
models:
  gpt-5: {input: 1.25, output: 10, cacheRead: 0.125}
  gpt-5-mini: {input: '0.25', output: '2', cacheRead: '0.025', cacheWrite: 0.3}
  gpt-*: {input: 2, output: 20}
  gpt-5-*: {input: 3, output: 30}
defaultModels:
  codex: gpt-5
  claude-code: gpt-4
";

    fn usage(input: i64, output: i64, cache_read: i64, cache_write: i64) -> Usage {
        Usage {
            input_tokens: Some(input),
            output_tokens: Some(output),
            cache_read_tokens: Some(cache_read),
            cache_write_tokens: Some(cache_write),
            ..Usage::default()
        }
    }

    fn estimate(model: &str, usage: &Usage) -> Option<String> {
        let table = PriceTable::parse(TABLE).unwrap();
        let mut task = task("t");
        task.spec.model = Some(model.to_owned());
        table.price_of(&task)?.estimate(usage)
    }

    #[test]
    fn tokens_of_each_kind_have_their_price() {
        let million = 1_000_000;
        assert_eq!(
            estimate("gpt-5-mini", &usage(million, million, million, million)).as_deref(),
            Some("2.575")
        );
        assert_eq!(
            estimate("gpt-5", &usage(million, 0, million, million)).as_deref(),
            Some("2.625"),
            "written to the cache at the price of input"
        );
        assert_eq!(
            estimate("gpt-5", &usage(1, 0, 0, 0)).as_deref(),
            Some("0.00000125")
        );
        assert_eq!(estimate("gpt-5", &usage(0, 0, 0, 0)).as_deref(), Some("0.00"));
        assert!(estimate("gpt-5", &usage(i64::MAX, i64::MAX, 0, 0)).is_some());
    }

    #[test]
    fn the_name_itself_comes_before_the_longest_prefix() {
        let one = usage(1_000_000, 0, 0, 0);
        for (model, dollars) in [
            ("gpt-5", Some("1.25")),
            ("gpt-5-mini", Some("0.25")),
            ("gpt-5-nano", Some("3.00")),
            ("gpt-4", Some("2.00")),
            ("GPT-4", None),
            ("o3", None),
        ] {
            assert_eq!(estimate(model, &one).as_deref(), dollars, "{model}");
        }
    }

    #[test]
    fn a_task_without_a_model_uses_what_its_agent_uses() {
        let table = PriceTable::parse(TABLE).unwrap();
        let one = usage(1_000_000, 0, 0, 0);
        let mut task = task("t");
        let dollars = |task: &Task| table.price_of(task)?.estimate(&one);
        assert_eq!(dollars(&task).as_deref(), Some("2.00"));
        task.spec.agent = AgentType::Codex;
        assert_eq!(dollars(&task).as_deref(), Some("1.25"));
        task.spec.agent = AgentType::Gemini;
        assert_eq!(dollars(&task), None);
        assert_eq!(PriceTable::default().price_of(&task), None);
    }

    #[test]
    fn what_is_known_or_half_known_is_not_estimated() {
        let cost = Usage {
            cost_usd: Some("0.5".into()),
            ..usage(1, 1, 0, 0)
        };
        let half = Usage {
            output_tokens: None,
            ..usage(1, 1, 0, 0)
        };
        assert_eq!(estimate("gpt-5", &cost), None);
        assert_eq!(estimate("gpt-5", &half), None);
        let no_cache = Usage {
            cache_read_tokens: None,
            cache_write_tokens: None,
            ..usage(1_000_000, 0, 0, 0)
        };
        assert_eq!(estimate("gpt-5", &no_cache).as_deref(), Some("1.25"));
    }

    #[test]
    fn what_is_wrong_is_named_all_at_once() {
        let bad = "
models:
  a: {input: x, output: -1, reasoning: 3}
  b: {input: 1}
  c*d: {input: 1, output: 1}
  e: 5
  f: {input: 1, output: 99999999}
  g: {input: null, output: true}
defaultModels: {codex: z, cursor: e, gemini: ''}
prices: {}
";
        insta::assert_snapshot!(wrong(bad), @r#"
        prices: is no field; there are models, defaultModels
        models.a.reasoning: is no field; there are input, output, cacheRead, cacheWrite
        models.a.input: "x" is no number of dollars from 0 to 1000000
        models.a.output: "-1" is no number of dollars from 0 to 1000000
        models.b.output: is missing
        models.c*d: a * may stand only at the end
        models.e: is no map with input and output
        models.f.output: "99999999" is no number of dollars from 0 to 1000000
        models.g.input: "null" is no number of dollars from 0 to 1000000
        models.g.output: "true" is no number of dollars from 0 to 1000000
        defaultModels.codex: models has no price of z
        defaultModels.cursor: is no type of agent
        defaultModels.gemini: is no name of a model
        "#);
        for (text, why) in [
            ("[1]", "is no map with the field models"),
            ("models: {}", "models: has no model"),
            ("models: [a]", "models: is no map"),
            (
                "models: {a: {input: 1, output: 1}, a: {input: 2, output: 1}}",
                "duplicate",
            ),
            ("models: {", "line"),
            ("", "is no map"),
        ] {
            let said = wrong(text);
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    fn wrong(text: &str) -> String {
        let error = PriceTable::parse(text).unwrap_err();
        error.0.join("\n")
    }
}
