/**
 * What protecting packets costs in this process, without sockets: each cipher (and MAC) seals and opens packets of a few
 * sizes, by the engine itself and with what OpenSSL called directly has of it. `npm run bench:engine [pattern] [size …]`;
 * the numbers are medians of several rounds.
 */
import type { CipherAlgorithm } from '../../lib/algorithms/cipher.ts'
import { allAlgorithms } from '../../lib/algorithms/index.ts'
import type { MacAlgorithm } from '../../lib/algorithms/mac.ts'
import { type CryptoProvider, providedCipher, providedMac } from '../../lib/algorithms/provider.ts'
import { fillPadding } from '../../lib/crypto/random.ts'
import { PacketInput, PacketOutput } from '../../lib/transport/packet.ts'
import { giveBack } from '../../lib/wire/room.ts'
import { opensslFrom } from '../../src/native/openssl/provider.ts'

const pattern = new RegExp(process.argv[2] ?? 'gcm|poly1305|aes128-ctr')
const sizes = process.argv.length > 3 ? process.argv.slice(3).map(Number) : [64, 1024, 32_768]
const rounds = 5
const bytesPerRound = 32 * 1024 * 1024

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!

/** Microseconds per packet of sealing and of opening. */
function measure(cipher: CipherAlgorithm, mac: MacAlgorithm | undefined, size: number): { seal: number; open: number } {
  const output = new PacketOutput(fillPadding)
  const input = new PacketInput()
  const keys = (): { key: Buffer; iv: Buffer } => ({
    key: Buffer.from(Array.from({ length: cipher.keyLength }, (_, i) => i + 1)),
    iv: Buffer.alloc(cipher.ivLength, 2),
  })
  const macOf = () => (mac ? { mac: mac.create(Buffer.alloc(mac.keyLength, 3)) } : {})
  output.setKeys(cipher.createSealer({ ...keys(), ...macOf() }), true)
  input.setKeys(cipher.createOpener({ ...keys(), ...macOf() }), true)
  const payload = Buffer.alloc(size, 94)
  const count = Math.ceil(Math.min(bytesPerRound / size, 40_000))
  const batch = Math.max(1, Math.min(64, Math.floor(262_144 / size)))
  const seals: number[] = []
  const opens: number[] = []
  for (let round = 0; round < rounds; round++) {
    let sealing = 0n
    let opening = 0n
    for (let done = 0; done < count; done += batch) {
      const chunks: Buffer[] = []
      const start = process.hrtime.bigint()
      for (let i = 0; i < batch; i++) {
        output.begin().bytes(payload)
        output.seal(chunks)
      }
      sealing += process.hrtime.bigint() - start
      const wire = Buffer.concat(chunks)
      for (const chunk of chunks) giveBack(chunk)
      const middle = process.hrtime.bigint()
      input.push(wire)
      let opened = 0
      for (let payload = input.next(); payload; payload = input.next()) {
        giveBack(payload)
        opened++
      }
      opening += process.hrtime.bigint() - middle
      if (opened !== batch) throw new Error(`${cipher.name}: ${opened} of ${batch} packets`)
    }
    const packets = Math.ceil(count / batch) * batch
    seals.push(Number(sealing) / packets / 1000)
    opens.push(Number(opening) / packets / 1000)
  }
  return { seal: median(seals), open: median(opens) }
}

const engine: CryptoProvider = { ...opensslFrom({ loading: 0, contexts: 0, packets: 0 }), names: new Set() }
const providers = { engine, openssl: opensslFrom({ loading: 0, contexts: 0, packets: 0 }) }

console.log('| cipher | by | bytes | seal µs | open µs | both MB/s |\n|---|---|---|---|---|---|')
for (const cipher of allAlgorithms.cipher) {
  for (const mac of cipher.authenticated ? [undefined] : allAlgorithms.mac) {
    const name = [cipher.name, mac?.name].filter(Boolean).join(' ')
    if (!pattern.test(name)) continue
    for (const size of sizes) {
      for (const [by, provider] of Object.entries(providers)) {
        if (provider !== engine && !provider.names.has(cipher.name)) continue
        const used = mac && providedMac(mac, provider)
        const { seal, open } = measure(providedCipher(cipher, provider), used, size)
        const rate = size / (seal + open)
        console.log(`| ${name} | ${by} | ${size} | ${seal.toFixed(2)} | ${open.toFixed(2)} | ${rate.toFixed(0)} |`)
      }
    }
  }
}
