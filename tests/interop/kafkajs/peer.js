// kafkajs behind the verbs of the matrix. usage: node peer.js ADDRESS
const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, logLevel } = require('kafkajs')
const lz4 = require('lz4js')
const xxh32 = require('lz4js/xxh32')
const zstd = require('@mongodb-js/zstd')
const { Lacks, Failed, encoded, decoded, serve, sleep } = require('./verbs')

// The library itself has gzip; the others are plugged in.
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => {
    const frame = Buffer.from(lz4.compress(encoder.buffer))
    frame[4] |= 0x20 // blocks are independent, which it does not say and Kafka demands
    frame[6] = (xxh32.hash(0, frame, 4, 2) >> 8) & 0xff
    return frame
  },
  decompress: async buffer => Buffer.from(lz4.decompress(buffer)),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: encoder => zstd.compress(encoder.buffer),
  decompress: buffer => zstd.decompress(buffer),
})
const CODECS = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 }

function codeOf(e) {
  if (e.code !== undefined && Number.isInteger(e.code)) return e.code
  const inner = e.cause || (e.errors && e.errors[0])
  return inner ? codeOf(inner) : null
}

class Member {
  constructor(make) {
    this.make = make
    this.rows = []
    this.held = {}
    this.error = null
    this.joined = new Promise(resolve => (this.hasJoined = resolve))
  }

  async start() {
    const consumer = (this.consumer = await this.make())
    this.assignment = []
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      if (consumer !== this.consumer) return
      this.assignment = Object.entries(payload.memberAssignment).flatMap(([topic, ps]) => ps.map(p => [topic, p]))
      this.hasJoined()
    })
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      if (payload.restart || consumer !== this.consumer) return
      // A generation that takes its last partition while the library makes a fetch ends the consumer with a TypeError, whatever
      // the broker: a program has to make another.
      if (payload.error.cause instanceof TypeError) this.start().then(() => this.run()).catch(e => (this.error = e))
      else this.error = payload.error
    })
  }

  run() {
    return this.consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: async ({ batch, resolveOffset, heartbeat, isRunning, isStale }) => {
        for (const m of batch.messages) {
          while (this.rows.length >= 200 && isRunning() && !isStale()) await sleep(10)
          if (!isRunning() || isStale()) return
          this.rows.push({ topic: batch.topic, partition: batch.partition, m })
          resolveOffset(m.offset)
        }
        await heartbeat()
      },
    })
  }

  take(most) {
    return this.rows.splice(0, most).map(({ topic, partition, m }) => {
      this.held[`${topic}/${partition}`] = { topic, partition, offset: String(Number(m.offset) + 1) }
      const h = Object.entries(m.headers || {}).flatMap(([name, vs]) => [].concat(vs).map(v => [name, encoded(v)]))
      return { p: partition, o: Number(m.offset), k: encoded(m.key), v: encoded(m.value), t: Number(m.timestamp), h }
    })
  }
}

class Peer {
  constructor(address) {
    this.kafka = new Kafka({
      clientId: 'matrix', brokers: [address], logLevel: logLevel.ERROR, requestTimeout: 10000,
      retry: { initialRetryTime: 50, maxRetryTime: 300, retries: 15 },
    })
    this.producers = {}
    this.members = {}
  }

  hello() {
    return { client: 'kafkajs ' + require('kafkajs/package.json').version }
  }

  // Producing

  async produce({ topic, partition, records, codec = 'none', acks = 'all', idempotent = false, name }) {
    let producer = this.producers[name]
    if (!producer) {
      const retry = { retries: 4 }
      producer = this.kafka.producer({ idempotent, allowAutoTopicCreation: true, ...(idempotent ? { maxInFlightRequests: 1 } : { retry }) })
      await producer.connect()
      if (name) this.producers[name] = producer
    }
    const messages = records.map(r => {
      const headers = {}
      for (const [n, v] of r.h || []) {
        if (v === null) throw new Lacks('a null header is sent as none')
        if (n in headers && Object.keys(headers).at(-1) !== n) throw new Lacks('headers are an object of lists')
        headers[n] = n in headers ? [].concat(headers[n], decoded(v)) : decoded(v)
      }
      return { partition, key: decoded(r.k), value: decoded(r.v), headers, ...(r.t === undefined ? {} : { timestamp: String(r.t) }) }
    })
    await producer.send({ topic, messages, acks: { 0: 0, 1: 1, all: -1 }[acks], compression: CODECS[codec] })
    if (!name) await producer.disconnect()
  }

  async close_producer({ name }) {
    await this.producers[name].disconnect()
    delete this.producers[name]
  }

  // Reading: there are only groups, so a reader of one partition is a group of its own

  async open({ name, topic, partition, offset, reset = 'earliest' }) {
    if (reset === 'none') throw new Lacks('always resets')
    const groupId = `alone-${process.pid}-${Date.now()}-${Math.random()}`
    const member = await this.start(name, groupId, [topic], { reset })
    await member.run()
    await member.joined
    if (offset === 'latest') return
    member.consumer.seek({ topic, partition, offset: String(offset === 'earliest' ? -2 : offset) })
  }

  async join({ name, group, topics, instance, session_ms = 6000, heartbeat_ms = 250, reset = 'earliest' }) {
    if (instance) throw new Lacks('no static members')
    const member = await this.start(name, group, topics, { reset, sessionTimeout: session_ms, heartbeatInterval: heartbeat_ms })
    member.run().catch(e => (member.error = e)) // joining may need the others to be polled
  }

  async start(name, groupId, topics, { reset, ...options }) {
    const member = (this.members[name] = new Member(async () => {
      const consumer = this.kafka.consumer({ groupId, maxWaitTimeInMs: 50, maxBytesPerPartition: 6000000, ...options })
      await consumer.connect()
      await consumer.subscribe({ topics, fromBeginning: reset === 'earliest' })
      return consumer
    }))
    await member.start()
    return member
  }

  async poll({ name, ms, max = 100000 }) {
    const member = this.members[name]
    for (const end = Date.now() + ms; !member.rows.length && !member.error && Date.now() < end; ) await sleep(5)
    if (member.error) throw member.error
    return { records: member.take(max), assignment: member.assignment }
  }

  async commit({ name }) {
    await this.members[name].consumer.commitOffsets(Object.values(this.members[name].held))
  }

  async commit_offset({ name, topic, partition, offset, metadata }) {
    await this.members[name].consumer.commitOffsets([{ topic, partition, offset: String(offset), metadata }])
  }

  async leave({ name }) {
    if (!this.members[name]) return
    await this.members[name].consumer.disconnect()
    delete this.members[name]
  }

  // Administration

  async admin() {
    if (!this.client) {
      this.client = this.kafka.admin()
      await this.client.connect()
    }
    return this.client
  }

  async offset_of_time({ topic, partition, time }) {
    const rows = await (await this.admin()).fetchTopicOffsetsByTimestamp(topic, time)
    return { offset: Number(rows.find(r => r.partition === partition).offset) }
  }

  async committed() {
    throw new Lacks('no look-up of the metadata that was committed')
  }

  async create_topic({ topic, partitions, configs }) {
    const configEntries = Object.entries(configs).map(([n, value]) => ({ name: n, value }))
    if (!(await (await this.admin()).createTopics({ topics: [{ topic, numPartitions: partitions, configEntries }] })))
      throw new Failed(36, 'createTopics gave false')
  }

  async list_topics() {
    return { topics: await (await this.admin()).listTopics() }
  }

  async describe_topic({ topic }) {
    const { topics } = await (await this.admin()).fetchTopicMetadata({ topics: [topic] })
    return { partitions: topics[0].partitions.length }
  }

  async describe_configs({ topic }) {
    const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic }]
    const answer = await (await this.admin()).describeConfigs({ resources, includeSynonyms: false })
    return { configs: Object.fromEntries(answer.resources[0].configEntries.map(e => [e.configName, e.configValue])) }
  }

  async alter_config({ topic, config, value, keep }) {
    const configEntries = Object.entries({ ...keep, [config]: value }).map(([name, v]) => ({ name, value: v }))
    await (await this.admin()).alterConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }] })
  }

  async create_partitions({ topic, total }) {
    await (await this.admin()).createPartitions({ topicPartitions: [{ topic, count: total }] })
  }

  async delete_records({ topic, partition, before }) {
    await this.list_offsets({ topic, partition }) // it asks for the leader only when it has seen the topic
    await this.client.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(before) }] })
  }

  async list_offsets({ topic, partition, at }) {
    const rows = await (await this.admin()).fetchTopicOffsets(topic)
    const row = rows.find(r => r.partition === partition)
    return { offset: Number(at === 'earliest' ? row.low : row.high) }
  }

  async list_groups() {
    return { groups: (await (await this.admin()).listGroups()).groups.map(g => g.groupId) }
  }

  async describe_group({ group }) {
    const row = (await (await this.admin()).describeGroups([group])).groups[0]
    return { state: row.state, members: row.members.length }
  }

  async delete_group({ group }) {
    try {
      await (await this.admin()).deleteGroups([group])
    } catch (e) {
      throw new Failed(e.groups && e.groups[0] ? e.groups[0].errorCode : codeOf(e), e.message)
    }
  }

  async delete_topic({ topic }) {
    await (await this.admin()).deleteTopics({ topics: [topic] })
  }
}

process.on('unhandledRejection', e => console.error('unhandled', e))
serve(new Peer(process.argv[2]), codeOf)
