//! The loop of a client's program: requests in, answers out, one JSON object a line;
//! ../matrix/README.md has the verbs.
use std::io::{BufRead, Write};

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use serde_json::{json, Value};

/// Why a request was not done.
pub enum Failure {
    Lacks(&'static str),
    Error(Option<i32>, String),
}

pub type Answer = Result<Value, Failure>;

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Failure {
        Failure::Error(error.rdkafka_error_code().map(number), error.to_string())
    }
}

impl From<RDKafkaErrorCode> for Failure {
    fn from(code: RDKafkaErrorCode) -> Failure {
        Failure::Error(Some(number(code)), code.to_string())
    }
}

/// Kafka's number of an error; the library's own ones for what it found out by itself.
pub fn number(code: RDKafkaErrorCode) -> i32 {
    match code {
        RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownPartition => 3,
        RDKafkaErrorCode::AutoOffsetReset => 1,
        other => other as i32,
    }
}

pub fn encoded(data: Option<&[u8]>) -> Value {
    data.map_or(Value::Null, |bytes| Value::from(STANDARD.encode(bytes)))
}

pub fn decoded(text: &Value) -> Option<Vec<u8>> {
    text.as_str().map(|text| STANDARD.decode(text).expect("base64"))
}

/// The arguments of a request. What a scenario must give is asserted.
pub struct Arguments(pub Value);

impl Arguments {
    pub fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_else(|| panic!("no {name}"))
    }

    pub fn text_or<'a>(&'a self, name: &str, other: &'a str) -> &'a str {
        self.0[name].as_str().unwrap_or(other)
    }

    pub fn int(&self, name: &str) -> i64 {
        self.0[name].as_i64().unwrap_or_else(|| panic!("no {name}"))
    }

    pub fn int_or(&self, name: &str, other: i64) -> i64 {
        self.0[name].as_i64().unwrap_or(other)
    }

    pub fn is(&self, name: &str) -> bool {
        self.0[name].as_bool().unwrap_or(false)
    }

    pub fn rows(&self, name: &str) -> &[Value] {
        self.0[name].as_array().map_or(&[], |rows| rows)
    }

    /// The members of an object whose values are text.
    pub fn pairs(&self, name: &str) -> Vec<(&str, &str)> {
        let members = self.0[name].as_object().into_iter().flatten();
        members.map(|(name, value)| (name.as_str(), value.as_str().expect("text"))).collect()
    }
}

/// Calls answer(op, arguments) for each request until there are none.
pub fn serve(mut answer: impl FnMut(&str, &Arguments) -> Answer) {
    for line in std::io::stdin().lock().lines() {
        let request = Arguments(serde_json::from_str(&line.expect("a line")).expect("JSON"));
        let said = match answer(request.text("op"), &request) {
            Ok(Value::Null) => json!({}),
            Ok(value) => value,
            Err(Failure::Lacks(why)) => json!({ "lacks": why }),
            Err(Failure::Error(code, text)) => json!({ "error": code, "text": text }),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{said}").and_then(|()| out.flush()).expect("somebody listens");
    }
}
