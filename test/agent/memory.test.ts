import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs'
import { expect, test } from 'vitest'
import { generateKey, type PrivateKey } from '../../lib/keys/private-key.ts'
import { connectAgent } from '../../src/net/agent-socket.ts'
import { ours, startAgentProgram } from '../support/agents.ts'

/** What is left of a key in the agent's memory, as root can see it. */

const canRead = process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/proc/self/mem')

/** Counts where a process holds any of these bytes. */
function occurrences(pid: number, patterns: readonly Buffer[]): number[] {
  const counts = patterns.map(() => 0)
  const longest = Math.max(...patterns.map(pattern => pattern.length))
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  const chunk = Buffer.alloc(16 * 1024 * 1024)
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n')) {
      const [, from = '0', to = '0'] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? []
      const [start, end] = [Number.parseInt(from, 16), Number.parseInt(to, 16)]
      for (let at = start; at < end; at += chunk.length - longest) {
        let size = 0
        try {
          size = readSync(memory, chunk, 0, Math.min(chunk.length, end - at), at)
        } catch {
          // A page that nobody may read.
        }
        const read = chunk.subarray(0, size)
        for (const [i, pattern] of patterns.entries()) {
          for (let found = read.indexOf(pattern); found >= 0; found = read.indexOf(pattern, found + 1)) counts[i]!++
        }
      }
    }
  } finally {
    closeSync(memory)
  }
  return counts
}

/** Secret numbers, as bytes and as the texts that would be made of them. */
function secretsOf({ numbers }: PrivateKey): Buffer[] {
  const values =
    numbers.kind === 'rsa'
      ? [numbers.d, numbers.p, numbers.q, numbers.iqmp]
      : numbers.kind === 'dsa'
        ? [numbers.x]
        : numbers.kind === 'ecdsa'
          ? [numbers.scalar]
          : 'seed' in numbers
            ? [numbers.seed]
            : 'seeds' in numbers
              ? [numbers.seeds]
              : []
  // A part is enough: allocators write over the beginning of what is free.
  // OpenSSL leaves a copy of its own behind when it reads DSA and ECDSA keys.
  const rawToo = numbers.kind !== 'dsa' && numbers.kind !== 'ecdsa'
  return values.flatMap(value => {
    const offset = Math.max(0, value.length - 24)
    const part = value.subarray(offset)
    const base64 = value.subarray(offset + ((3 - (offset % 3)) % 3)).toString('base64url')
    const texts = [Buffer.from(part.toString('hex')), Buffer.from(base64.slice(0, base64.length - 3))]
    return rawToo ? [Buffer.from(part), ...texts] : texts
  })
}

const kinds = [['ed25519'], ['ecdsa', 256], ['ecdsa', 521], ['rsa', 2048], ['dsa'], ['mldsa44-ed25519']] as const

test.skipIf(!canRead)(
  'keys that are locked away, or removed, are nowhere in the agent',
  async () => {
    const started = await startAgentProgram(ours('tssh-agent'))
    const { client, close } = await connectAgent(started.socket)
    try {
      const keys = kinds.map(([kind, bits]) => generateKey(kind, bits))
      const patterns = keys.flatMap(secretsOf)
      const signAll = async () => {
        for (const { publicKey } of keys)
          await client.sign(publicKey.blob, Buffer.from('data'), publicKey.algorithms[0]!)
      }
      const left = () => expect.poll(() => occurrences(started.pid, patterns), { timeout: 20_000, interval: 300 })
      const none = patterns.map(() => 0)
      for (const key of keys) await client.add(key, 'k')
      await signAll()
      const held = patterns.slice(0, 1)
      expect(occurrences(started.pid, held)[0], 'seen while it is held').toBeGreaterThan(0)
      await client.lock('passphrase')
      await left().toEqual(none)
      await client.unlock('passphrase')
      await signAll()
      await client.removeAll()
      await left().toEqual(none)
    } finally {
      close()
      started.stop()
    }
  },
  60_000,
)
