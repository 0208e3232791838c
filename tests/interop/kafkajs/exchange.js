// kafkajs: none and gzip, each acks, a group that resumes, admin. Prints one line a promise; see run_test.
const { Kafka, CompressionTypes, logLevel } = require('kafkajs')
const assert = require('assert')

const kafka = new Kafka({ clientId: 'test', brokers: [process.argv[2]], logLevel: logLevel.NOTHING })
const admin = kafka.admin()

async function read(topic, groupId, count) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 6000 })
  const values = []
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`${values.length} of ${count} records`)), 30000).unref()
    consumer.run({
      autoCommit: false,
      eachMessage: async ({ message, partition }) => {
        if (values.length === count) return
        values.push(message.value.toString())
        if (values.length < count) return
        await consumer.commitOffsets([{ topic, partition, offset: String(Number(message.offset) + 1) }])
        resolve()
      },
    }).catch(reject)
  })
  await consumer.disconnect()
  return values
}

async function main() {
  await admin.connect()
  for (const [codec, compression] of Object.entries({ none: CompressionTypes.None, gzip: CompressionTypes.GZIP })) {
    for (const acks of [1, -1]) {
      const topic = `js-${codec}-${acks}`
      assert(await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true }))
      const producer = kafka.producer()
      await producer.connect()
      const values = Array.from({ length: 200 }, (_, i) => `${i}:${'x'.repeat(i)}`)
      await producer.send({ topic, acks, compression, messages: values.map((value, i) => ({ key: `k${i}`, value })) })
      await producer.disconnect()
      assert.deepStrictEqual(await read(topic, `g-${topic}`, 50), values.slice(0, 50))
      assert.deepStrictEqual(await read(topic, `g-${topic}`, 150), values.slice(50))
      console.log(`done ${codec} acks ${acks}`)
    }
  }
  await admin.deleteTopics({ topics: ['js-none-1'] })
  assert(!(await admin.listTopics()).includes('js-none-1'))
  await admin.disconnect()
  console.log('done admin')
  process.exit(0)
}

main().catch((e) => { console.error(e); process.exit(1) })
