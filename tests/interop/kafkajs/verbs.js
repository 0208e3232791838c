// The loop of a client's program: requests in, answers out, one JSON object a line (see ../matrix/README.md).
const readline = require('readline')

class Lacks extends Error {}
class Failed extends Error {
  constructor(code, text) {
    super(text)
    this.code = code
  }
}

const encoded = data => (data === null || data === undefined ? null : Buffer.from(data).toString('base64'))
const decoded = text => (text === null ? null : Buffer.from(text, 'base64'))

async function answerOf(peer, codeOf, request) {
  const { op, ...options } = request
  try {
    if (!peer[op]) throw new Lacks('not in the library')
    return (await peer[op](options)) || {}
  } catch (e) {
    if (e instanceof Lacks) return { lacks: e.message }
    console.error(e)
    return { error: e instanceof Failed ? e.code : codeOf(e), text: String(e.message) }
  }
}

// Calls peer.OP(options) for each request, one after the other; codeOf(error) gives Kafka's code or null.
async function serve(peer, codeOf) {
  const say = process.stdout.write.bind(process.stdout)
  process.stdout.write = process.stderr.write.bind(process.stderr) // what a library prints is no answer
  for await (const line of readline.createInterface({ input: process.stdin }))
    say(JSON.stringify(await answerOf(peer, codeOf, JSON.parse(line))) + '\n')
  process.exit(0)
}

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

module.exports = { Lacks, Failed, encoded, decoded, serve, sleep }
