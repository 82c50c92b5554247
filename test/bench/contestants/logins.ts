/**
 * Logs in over and over, or holds connections: `logins.js port identity rate seconds concurrency` prints logins per
 * second; `logins.js port identity hold count` prints a line when all are there, and holds them until stdin ends. It is
 * the engine alone, so that it costs less than the servers that it measures.
 */
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { defaultAlgorithms } from '../../../lib/algorithms/index.ts'
import { type Client, openClient } from '../../../lib/client.ts'
import { parsePrivateKey } from '../../../lib/keys/formats/private-file.ts'
import { keySigner } from '../../../lib/keys/signer.ts'
import { joinStream } from '../../../src/net/socket.ts'

const [port, identity, mode, first, second] = process.argv.slice(2)
const signer = keySigner(parsePrivateKey(readFileSync(identity!)))
const algorithms = {
  ...defaultAlgorithms,
  kex: defaultAlgorithms.kex.filter(({ name }) => name === 'curve25519-sha256'),
}

/** @throws what ended the connection first */
async function login(): Promise<Client> {
  const socket = connect({ host: '127.0.0.1', port: Number(port), noDelay: true })
  const link = joinStream(socket)
  const client = openClient({
    transport: { algorithms, softwareVersion: 'bench', verifyHostKey() {} },
    credentials: {
      user: process.env['USER'] ?? 'root',
      methods: ['publickey'],
      signers: () => [signer],
    },
    output: chunks => link.output(chunks),
  })
  link.attach(client)
  client.closed.then(() => socket.destroySoon())
  await client.authentication
  return client
}

const pause = (milliseconds: number) => new Promise(resolve => setTimeout(resolve, milliseconds))

/** A server may refuse a few when many come at once. */
async function patiently(until: () => boolean): Promise<Client | undefined> {
  for (let failures = 0; !until(); failures++) {
    try {
      return await login()
    } catch (error) {
      if (failures > 200) throw error
      await pause(5)
    }
  }
  return undefined
}

async function rate(seconds: number, concurrency: number): Promise<void> {
  const warm = 1000
  const started = performance.now() + warm
  const end = started + seconds * 1000
  const isOver = () => performance.now() > end
  let count = 0
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (!isOver()) {
        const client = await patiently(isOver)
        if (performance.now() >= started && !isOver()) count++
        client?.transport.disconnect(11, 'disconnected by user')
      }
    }),
  )
  console.log(count / seconds)
  process.exit(0)
}

async function hold(count: number): Promise<void> {
  const clients: (Client | undefined)[] = []
  let left = count
  await Promise.all(
    Array.from({ length: 5 }, async () => {
      while (left-- > 0) clients.push(await patiently(() => false))
    }),
  )
  console.log(clients.length)
  process.stdin.resume().on('end', () => process.exit(0))
}

await (mode === 'rate' ? rate(Number(first), Number(second)) : hold(Number(first)))
