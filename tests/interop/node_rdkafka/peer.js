// @confluentinc/kafka-javascript (librdkafka in Node) behind the verbs of the matrix. usage: node peer.js ADDRESS
const kafka = require('@confluentinc/kafka-javascript')
const { Lacks, encoded, decoded, serve, sleep } = require('../kafkajs/verbs')

const LOCAL = { '-188': 3, '-190': 3, '-140': 1 } // what it found out by itself
const codeOf = e => (Number.isInteger(e.code) ? LOCAL[e.code] || e.code : null)
const PASSING = [-191, -195, -187, 14] // what it tells and gets over by itself
const PATIENCE_MS = 20000

// of[method](...rest, callback) as a promise.
const ask = (of, method, ...rest) => new Promise((resolve, reject) => of[method](...rest, (e, x) => (e ? reject(e) : resolve(x))))

class Peer {
  constructor(address) {
    this.base = { 'bootstrap.servers': address, 'reconnect.backoff.max.ms': 100 }
    this.producers = {}
    this.consumers = {}
    this.held = {}
  }

  hello() {
    const { name, version } = require('@confluentinc/kafka-javascript/package.json')
    return { client: `${name} ${version}`, library: 'librdkafka ' + kafka.librdkafkaVersion }
  }

  // Producing

  async producer({ codec = 'none', acks = 'all', idempotent = false, size_max = 1000000, patience_ms = 30000 }) {
    const producer = new kafka.Producer({
      ...this.base, dr_cb: true, 'linger.ms': 5, 'compression.codec': codec, 'message.max.bytes': size_max + 200000,
      'enable.idempotence': idempotent, 'topic.metadata.propagation.max.ms': patience_ms,
    }, { 'request.required.acks': { 0: 0, 1: 1, all: -1 }[acks] })
    producer.on('event.error', e => console.error(e))
    await ask(producer, 'connect', {})
    producer.setPollInterval(10)
    return producer
  }

  async produce({ topic, partition, records, name, ...options }) {
    if (records.some(r => (r.h || []).some(([, v]) => v === null))) throw new Lacks('headers have a value')
    const producer = this.producers[name] || (await this.producer(options))
    if (name) this.producers[name] = producer
    const failed = []
    let left = records.length
    const hear = e => {
      left--
      if (e) failed.push(e)
    }
    producer.on('delivery-report', hear)
    try {
      for (const r of records) {
        const headers = (r.h || []).map(([n, v]) => ({ [n]: decoded(v) }))
        producer.produce(topic, partition, decoded(r.v), decoded(r.k), r.t, null, headers)
      }
      for (const end = Date.now() + 50000; left && Date.now() < end; ) await sleep(5)
    } finally {
      producer.removeListener('delivery-report', hear)
      if (!name) await ask(producer, 'disconnect')
    }
    if (failed.length) throw failed[0]
    if (left) throw new Error('records are left in the queue')
  }

  async close_producer({ name }) {
    await ask(this.producers[name], 'disconnect')
    delete this.producers[name]
  }

  // Reading

  async consumer(group, reset, more = {}) {
    const consumer = new kafka.KafkaConsumer(
      { ...this.base, 'group.id': group, 'enable.auto.commit': false, 'fetch.wait.max.ms': 50, 'fetch.message.max.bytes': 6000000, ...more },
      { 'auto.offset.reset': reset === 'none' ? 'error' : reset })
    consumer.on('event.error', e => console.error(e))
    await ask(consumer, 'connect', {})
    consumer.setDefaultConsumeTimeout(50)
    return consumer
  }

  // use(consumer) with a consumer of its own.
  async withConsumer(use) {
    const consumer = await this.consumer('alone', 'earliest')
    try {
      return await use(consumer)
    } finally {
      await ask(consumer, 'disconnect')
    }
  }

  async open({ name, topic, partition, offset, reset = 'earliest' }) {
    this.consumers[name] = await this.consumer('alone', reset)
    this.consumers[name].assign([{ topic, partition, offset: { earliest: -2, latest: -1 }[offset] || offset }])
  }

  async join({ name, group, topics, instance, session_ms = 6000, heartbeat_ms = 250, reset = 'earliest' }) {
    const more = { 'session.timeout.ms': session_ms, 'heartbeat.interval.ms': heartbeat_ms }
    if (instance) more['group.instance.id'] = instance
    this.consumers[name] = await this.consumer(group, reset, more)
    this.consumers[name].subscribe(topics)
  }

  async poll({ name, ms, max = 1000 }) {
    const consumer = this.consumers[name]
    let rows = []
    for (const end = Date.now() + ms; !rows.length && Date.now() < end; ) {
      try {
        rows = await ask(consumer, 'consume', Math.min(max, 1000))
      } catch (e) {
        if (!PASSING.includes(e.code)) throw e
      }
    }
    const held = (this.held[name] = this.held[name] || {})
    const records = rows.map(m => {
      held[`${m.topic}/${m.partition}`] = { topic: m.topic, partition: m.partition, offset: m.offset + 1 }
      const h = (m.headers || []).flatMap(pair => Object.entries(pair).map(([n, v]) => [n, encoded(v)]))
      return { p: m.partition, o: m.offset, k: encoded(m.key), v: encoded(m.value), t: m.timestamp, h }
    })
    return { records, assignment: consumer.assignments().map(a => [a.topic, a.partition]) }
  }

  commit({ name }) {
    this.consumers[name].commitSync(Object.values(this.held[name]))
  }

  commit_offset({ name, topic, partition, offset, metadata }) {
    this.consumers[name].commitSync([{ topic, partition, offset, metadata }])
  }

  async committed({ name, topic, partition }) {
    const [row] = await ask(this.consumers[name], 'committed', [{ topic, partition }], PATIENCE_MS)
    return { offset: row.offset, metadata: row.metadata || '' }
  }

  async leave({ name }) {
    const consumer = this.consumers[name]
    if (!consumer) return
    delete this.consumers[name]
    delete this.held[name]
    await ask(consumer, 'disconnect')
  }

  async offset_of_time({ topic, partition, time }) {
    const rows = await this.withConsumer(c => ask(c, 'offsetsForTimes', [{ topic, partition, offset: time }], PATIENCE_MS))
    return { offset: rows[0].offset }
  }

  // Administration

  get admin() {
    this.client = this.client || kafka.AdminClient.create(this.base)
    return this.client
  }

  async create_topic({ topic, partitions, configs }) {
    await ask(this.admin, 'createTopic', { topic, num_partitions: partitions, replication_factor: 1, config: configs }, PATIENCE_MS)
  }

  async list_topics() {
    return { topics: await ask(this.admin, 'listTopics', { timeout: PATIENCE_MS }) }
  }

  async describe_topic({ topic }) {
    const [row] = await ask(this.admin, 'describeTopics', [topic], { timeout: PATIENCE_MS })
    return { partitions: row.partitions.length }
  }

  async create_partitions({ topic, total }) {
    await ask(this.admin, 'createPartitions', topic, total, PATIENCE_MS)
  }

  async delete_records({ topic, partition, before }) {
    const [row] = await ask(this.admin, 'deleteRecords', [{ topic, partition, offset: before }], { timeout: PATIENCE_MS })
    if (row.error) throw row.error
  }

  async list_offsets({ topic, partition, at }) {
    const offset = { earliest: kafka.OffsetSpec.EARLIEST, latest: kafka.OffsetSpec.LATEST }[at]
    const [row] = await ask(this.admin, 'listOffsets', [{ topic, partition, offset }], { timeout: PATIENCE_MS })
    if (row.error) throw row.error
    return { offset: row.offset }
  }

  async list_groups() {
    const { groups } = await ask(this.admin, 'listGroups', { timeout: PATIENCE_MS })
    return { groups: groups.map(g => g.groupId) }
  }

  async describe_group({ group }) {
    const row = (await ask(this.admin, 'describeGroups', [group], { timeout: PATIENCE_MS })).groups[0]
    const state = Object.entries(kafka.ConsumerGroupStates).find(([, number]) => number === row.state)
    return { state: state[0], members: row.members.length }
  }

  async delete_group({ group }) {
    const [row] = await ask(this.admin, 'deleteGroups', [group], { timeout: PATIENCE_MS })
    if (row.error && row.error.code) throw row.error
  }

  async delete_topic({ topic }) {
    await ask(this.admin, 'deleteTopic', topic, PATIENCE_MS)
  }

  describe_configs() {
    throw new Lacks('AdminClient has no settings of topics')
  }
}

serve(new Peer(process.argv[2]), codeOf)
