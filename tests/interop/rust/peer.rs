//! rdkafka (librdkafka in Rust) behind the verbs of the matrix. usage: rust_peer ADDRESS
mod verbs;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{json, Value};
use verbs::{decoded, encoded, Answer, Arguments, Failure};

const LOCK: &str = include_str!("Cargo.lock"); // the crate does not tell its version
const PATIENCE: Duration = Duration::from_secs(20);
// What it tells and gets over by itself.
const PASSING: [RDKafkaErrorCode; 3] = [
    RDKafkaErrorCode::AllBrokersDown,
    RDKafkaErrorCode::BrokerTransportFailure,
    RDKafkaErrorCode::CoordinatorLoadInProgress,
];

struct Reader {
    consumer: StreamConsumer,
    held: HashMap<(String, i32), i64>, // the offsets after what was read
}

struct Peer {
    base: ClientConfig,
    admin: AdminClient<DefaultClientContext>,
    producers: HashMap<String, FutureProducer>,
    readers: HashMap<String, Reader>,
}

fn list_of(topic: &str, partition: i64, offset: Offset) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition as i32, offset)?;
    Ok(list)
}

fn row_of(message: &BorrowedMessage) -> Value {
    let headers: Vec<Value> = message.headers().map_or(Vec::new(), |all| {
        all.iter().map(|header| json!([header.key, encoded(header.value)])).collect()
    });
    json!({
        "p": message.partition(), "o": message.offset(), "t": message.timestamp().to_millis(),
        "k": encoded(message.key()), "v": encoded(message.payload()), "h": headers,
    })
}

fn single<T, N>(results: Vec<Result<T, (N, RDKafkaErrorCode)>>) -> Answer {
    match results.into_iter().next() {
        Some(Err((_, code))) => Err(code.into()),
        _ => Ok(Value::Null),
    }
}

impl Peer {
    fn new(address: &str) -> Result<Peer, KafkaError> {
        let mut base = ClientConfig::new();
        base.set("bootstrap.servers", address).set("reconnect.backoff.max.ms", "100");
        let admin = base.create()?;
        Ok(Peer { base, admin, producers: HashMap::new(), readers: HashMap::new() })
    }

    async fn answer(&mut self, op: &str, arguments: &Arguments) -> Answer {
        match op {
            "hello" => self.hello(),
            "produce" => self.produce(arguments).await,
            "close_producer" => self.close_producer(arguments.text("name")),
            "open" => self.open(arguments),
            "join" => self.join(arguments),
            "poll" => self.poll(arguments).await,
            "commit" => self.commit(arguments.text("name")),
            "commit_offset" => self.commit_offset(arguments),
            "committed" => self.committed(arguments),
            "leave" => self.leave(arguments.text("name")),
            "offset_of_time" => self.offset_of_time(arguments),
            "create_topic" => self.create_topic(arguments).await,
            "list_topics" => self.list_topics(),
            "describe_topic" => self.describe_topic(arguments.text("topic")),
            "describe_configs" => self.describe_configs(arguments.text("topic")).await,
            "alter_config" => self.alter_config(arguments).await,
            "create_partitions" => self.create_partitions(arguments).await,
            "delete_records" => self.delete_records(arguments).await,
            "list_offsets" => self.list_offsets(arguments),
            "list_groups" => self.list_groups(),
            "describe_group" => self.describe_group(arguments.text("group")),
            "delete_group" => self.delete_group(arguments.text("group")).await,
            "delete_topic" => self.delete_topic(arguments.text("topic")).await,
            _ => Err(Failure::Lacks("not in the library")),
        }
    }

    fn hello(&self) -> Answer {
        let version = LOCK
            .split("name = \"rdkafka\"\nversion = \"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let client = format!("rdkafka {}", version.unwrap_or("unknown"));
        let library = format!("librdkafka {}", rdkafka::util::get_rdkafka_version().1);
        Ok(json!({ "client": client, "library": library }))
    }

    // Producing

    fn producer(&self, arguments: &Arguments) -> Result<FutureProducer, KafkaError> {
        let mut config = self.base.clone();
        let acks = match &arguments.0["acks"] {
            Value::Number(acks) => acks.to_string(),
            other => other.as_str().unwrap_or("all").to_string(),
        };
        config.set("linger.ms", "5").set("acks", acks);
        config.set("compression.codec", arguments.text_or("codec", "none"));
        config.set(
            "message.max.bytes",
            (arguments.int_or("size_max", 1_000_000) + 200_000).to_string(),
        );
        config.set(
            "topic.metadata.propagation.max.ms",
            arguments.int_or("patience_ms", 30_000).to_string(),
        );
        config.set("enable.idempotence", arguments.is("idempotent").to_string());
        config.create()
    }

    async fn produce(&mut self, arguments: &Arguments) -> Answer {
        let known = arguments.0["name"].as_str().and_then(|name| self.producers.get(name));
        let producer =
            known.map_or_else(|| self.producer(arguments), |producer| Ok(producer.clone()))?;
        if let Some(name) = arguments.0["name"].as_str() {
            self.producers.insert(name.to_string(), producer.clone());
        }
        let mut sent = Vec::new();
        for row in arguments.rows("records") {
            let (key, value) = (decoded(&row["k"]), decoded(&row["v"]));
            let mut record: FutureRecord<[u8], [u8]> = FutureRecord::to(arguments.text("topic"));
            record = record.partition(arguments.int("partition") as i32);
            record.key = key.as_deref();
            record.payload = value.as_deref();
            record.timestamp = row["t"].as_i64();
            if let Some(pairs) = row["h"].as_array() {
                record.headers = Some(pairs.iter().fold(OwnedHeaders::new(), |headers, pair| {
                    let value = decoded(&pair[1]);
                    headers.insert(Header {
                        key: pair[0].as_str().expect("a name"),
                        value: value.as_ref(),
                    })
                }));
            }
            sent.push(producer.send_result(record).map_err(|(error, _)| error)?);
        }
        let mut failed = None;
        for delivery in sent {
            if let Err((error, _)) = delivery.await.map_err(|_| KafkaError::Canceled)? {
                failed = failed.or(Some(error));
            }
        }
        failed.map_or(Ok(Value::Null), |error| Err(error.into()))
    }

    fn close_producer(&mut self, name: &str) -> Answer {
        if let Some(producer) = self.producers.remove(name) {
            producer.flush(PATIENCE)?;
        }
        Ok(Value::Null)
    }

    // Reading

    fn consumer(
        &self,
        group: &str,
        reset: &str,
        more: &[(&str, String)],
    ) -> Result<StreamConsumer, KafkaError> {
        let mut config = self.base.clone();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "50");
        config.set("auto.offset.reset", if reset == "none" { "error" } else { reset });
        config.set("fetch.message.max.bytes", "6000000");
        for (name, value) in more {
            config.set(*name, value);
        }
        config.create()
    }

    fn open(&mut self, arguments: &Arguments) -> Answer {
        let consumer = self.consumer("alone", arguments.text_or("reset", "earliest"), &[])?;
        let offset = match &arguments.0["offset"] {
            Value::Number(offset) => Offset::Offset(offset.as_i64().expect("an offset")),
            at if at == "latest" => Offset::End,
            _ => Offset::Beginning,
        };
        consumer.assign(&list_of(arguments.text("topic"), arguments.int("partition"), offset)?)?;
        self.readers
            .insert(arguments.text("name").to_string(), Reader { consumer, held: HashMap::new() });
        Ok(Value::Null)
    }

    fn join(&mut self, arguments: &Arguments) -> Answer {
        let mut more = vec![
            ("session.timeout.ms", arguments.int_or("session_ms", 6000).to_string()),
            ("heartbeat.interval.ms", arguments.int_or("heartbeat_ms", 250).to_string()),
        ];
        if let Some(instance) = arguments.0["instance"].as_str() {
            more.push(("group.instance.id", instance.to_string()));
        }
        let consumer =
            self.consumer(arguments.text("group"), arguments.text_or("reset", "earliest"), &more)?;
        let topics: Vec<&str> = arguments.rows("topics").iter().filter_map(Value::as_str).collect();
        consumer.subscribe(&topics)?;
        self.readers
            .insert(arguments.text("name").to_string(), Reader { consumer, held: HashMap::new() });
        Ok(Value::Null)
    }

    fn reader(&mut self, name: &str) -> Result<&mut Reader, Failure> {
        self.readers.get_mut(name).ok_or_else(|| Failure::Error(None, format!("no reader {name}")))
    }

    async fn poll(&mut self, arguments: &Arguments) -> Answer {
        let max = arguments.int_or("max", 100_000) as usize;
        let end = Instant::now() + Duration::from_millis(arguments.int("ms") as u64);
        let reader = self.reader(arguments.text("name"))?;
        let mut rows = Vec::new();
        while rows.len() < max {
            let wait = if rows.is_empty() {
                end.saturating_duration_since(Instant::now())
            } else {
                Duration::from_millis(10)
            };
            match tokio::time::timeout(wait, reader.consumer.recv()).await {
                Err(_) => break,
                Ok(Err(error))
                    if error.rdkafka_error_code().is_some_and(|code| PASSING.contains(&code)) =>
                {
                    continue
                }
                Ok(Err(error)) => return Err(error.into()),
                Ok(Ok(message)) => {
                    rows.push(row_of(&message));
                    reader.held.insert(
                        (message.topic().to_string(), message.partition()),
                        message.offset() + 1,
                    );
                }
            }
        }
        let assigned = reader.consumer.assignment()?;
        let assignment: Vec<Value> =
            assigned.elements().iter().map(|e| json!([e.topic(), e.partition()])).collect();
        Ok(json!({ "records": rows, "assignment": assignment }))
    }

    fn commit(&mut self, name: &str) -> Answer {
        let reader = self.reader(name)?;
        let mut list = TopicPartitionList::new();
        for ((topic, partition), offset) in &reader.held {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
        }
        reader.consumer.commit(&list, CommitMode::Sync)?;
        Ok(Value::Null)
    }

    fn commit_offset(&mut self, arguments: &Arguments) -> Answer {
        let (topic, partition) = (arguments.text("topic"), arguments.int("partition"));
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition(topic, partition as i32);
        element.set_offset(Offset::Offset(arguments.int("offset")))?;
        element.set_metadata(arguments.text("metadata"));
        self.reader(arguments.text("name"))?.consumer.commit(&list, CommitMode::Sync)?;
        Ok(Value::Null)
    }

    fn committed(&mut self, arguments: &Arguments) -> Answer {
        let asked = list_of(arguments.text("topic"), arguments.int("partition"), Offset::Invalid)?;
        let found =
            self.reader(arguments.text("name"))?.consumer.committed_offsets(asked, PATIENCE)?;
        let row = &found.elements()[0];
        Ok(json!({ "offset": row.offset().to_raw(), "metadata": row.metadata() }))
    }

    fn leave(&mut self, name: &str) -> Answer {
        self.readers.remove(name); // dropping it closes it
        Ok(Value::Null)
    }

    fn offset_of_time(&self, arguments: &Arguments) -> Answer {
        let time = Offset::Offset(arguments.int("time"));
        let asked = list_of(arguments.text("topic"), arguments.int("partition"), time)?;
        let found = self.consumer("alone", "earliest", &[])?.offsets_for_times(asked, PATIENCE)?;
        found.elements()[0].error()?;
        Ok(json!({ "offset": found.elements()[0].offset().to_raw() }))
    }

    // Administration

    async fn create_topic(&self, arguments: &Arguments) -> Answer {
        let partitions = arguments.int("partitions") as i32;
        let mut topic =
            NewTopic::new(arguments.text("topic"), partitions, TopicReplication::Fixed(1));
        topic.config = arguments.pairs("configs");
        single(self.admin.create_topics([&topic], &AdminOptions::new()).await?)
    }

    fn list_topics(&self) -> Answer {
        let found = self.admin.inner().fetch_metadata(None, PATIENCE)?;
        Ok(json!({ "topics": found.topics().iter().map(|t| t.name()).collect::<Vec<_>>() }))
    }

    fn describe_topic(&self, topic: &str) -> Answer {
        let found = self.admin.inner().fetch_metadata(Some(topic), PATIENCE)?;
        Ok(json!({ "partitions": found.topics()[0].partitions().len() }))
    }

    async fn describe_configs(&self, topic: &str) -> Answer {
        let found = self
            .admin
            .describe_configs([&ResourceSpecifier::Topic(topic)], &AdminOptions::new())
            .await?;
        let mut configs = serde_json::Map::new();
        for resource in found {
            for entry in resource?.entries {
                configs.insert(entry.name, entry.value.into());
            }
        }
        Ok(json!({ "configs": configs }))
    }

    /// It replaces all settings of a topic, so the others are said again.
    async fn alter_config(&self, arguments: &Arguments) -> Answer {
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(arguments.text("topic")));
        change.entries.extend(arguments.pairs("keep"));
        change = change.set(arguments.text("config"), arguments.text("value"));
        single(self.admin.alter_configs([&change], &AdminOptions::new()).await?)
    }

    async fn create_partitions(&self, arguments: &Arguments) -> Answer {
        let wanted = NewPartitions::new(arguments.text("topic"), arguments.int("total") as usize);
        single(self.admin.create_partitions([&wanted], &AdminOptions::new()).await?)
    }

    async fn delete_records(&self, arguments: &Arguments) -> Answer {
        let before = Offset::Offset(arguments.int("before"));
        let list = list_of(arguments.text("topic"), arguments.int("partition"), before)?;
        self.admin.delete_records(&list, &AdminOptions::new()).await?.elements()[0].error()?;
        Ok(Value::Null)
    }

    fn list_offsets(&self, arguments: &Arguments) -> Answer {
        let (topic, partition) = (arguments.text("topic"), arguments.int("partition") as i32);
        let (low, high) = self.admin.inner().fetch_watermarks(topic, partition, PATIENCE)?;
        Ok(json!({ "offset": if arguments.text("at") == "earliest" { low } else { high } }))
    }

    fn list_groups(&self) -> Answer {
        let found = self.admin.inner().fetch_group_list(None, PATIENCE)?;
        Ok(json!({ "groups": found.groups().iter().map(|g| g.name()).collect::<Vec<_>>() }))
    }

    fn describe_group(&self, group: &str) -> Answer {
        let found = self.admin.inner().fetch_group_list(Some(group), PATIENCE)?;
        let group = &found.groups()[0];
        Ok(json!({ "state": group.state(), "members": group.members().len() }))
    }

    async fn delete_group(&self, group: &str) -> Answer {
        single(self.admin.delete_groups(&[group], &AdminOptions::new()).await?)
    }

    async fn delete_topic(&self, topic: &str) -> Answer {
        single(self.admin.delete_topics(&[topic], &AdminOptions::new()).await?)
    }
}

fn main() {
    let address = std::env::args().nth(1).expect("usage: rust_peer ADDRESS");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let runtime = runtime.expect("threads");
    let _inside = runtime.enter(); // readers start a task of their own
    let mut peer = Peer::new(&address).expect("a client");
    verbs::serve(|op, arguments| runtime.block_on(peer.answer(op, arguments)));
}
