// kafkajs: a file through partition 0 of a topic. usage: file.js HOST:PORT produce TOPIC | consume TOPIC COUNT
const { Kafka, logLevel } = require('kafkajs')
const readline = require('readline')

const [address, action, topic, count] = process.argv.slice(2)
const kafka = new Kafka({ clientId: 'file', brokers: [address], logLevel: logLevel.NOTHING })
const BATCH = 5000

async function produce() {
  const producer = kafka.producer()
  await producer.connect()
  let messages = []
  const send = async () => {
    if (messages.length > 0) await producer.send({ topic, acks: -1, messages })
    messages = []
  }
  for await (const value of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    messages.push({ value, partition: 0 })
    if (messages.length === BATCH) await send()
  }
  await send()
  await producer.disconnect()
}

async function consume() {
  const consumer = kafka.consumer({ groupId: `g-${topic}-${process.pid}`, maxBytesPerPartition: 8 << 20 })
  let left = Number(count)
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise((resolve, reject) => {
    consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        if (left === 0) return
        const taken = batch.messages.slice(0, left)
        left -= taken.length
        const newline = Buffer.from('\n')
        process.stdout.write(Buffer.concat(taken.flatMap((m) => [m.value, newline])))
        if (left === 0) resolve()
      },
    }).catch(reject)
  })
  await consumer.disconnect()
}

;(action === 'produce' ? produce() : consume())
  .then(() => process.stdout.write('', () => process.exit(0)))
  .catch((e) => { console.error(e); process.exit(1) })
