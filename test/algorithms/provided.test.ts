import { describe, expect, test } from 'vitest'
import type { CipherAlgorithm, CipherKeys } from '../../lib/algorithms/cipher.ts'
import { allAlgorithms } from '../../lib/algorithms/index.ts'
import type { MacAlgorithm } from '../../lib/algorithms/mac.ts'
import { type CryptoProvider, providedCipher, providedMac } from '../../lib/algorithms/provider.ts'
import { PacketInput, PacketOutput } from '../../lib/transport/packet.ts'
import { opensslFrom } from '../../src/native/openssl/provider.ts'

type Suite = readonly [CipherAlgorithm, MacAlgorithm | undefined]

const openssl = opensslFrom({ loading: 0, contexts: 0, packets: 0 })
const macs = allAlgorithms.mac.filter(({ name }) => openssl.names.has(name) || name.startsWith('umac'))
const suites = allAlgorithms.cipher
  .filter(({ name }) => openssl.names.has(name))
  .flatMap((cipher): Suite[] => (cipher.authenticated ? [[cipher, undefined]] : macs.map(mac => [cipher, mac])))
const named = suites.map(suite => [`${suite[0].name} ${suite[1]?.name ?? ''}`.trim(), suite] as const)

const pattern = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => (i * 37 + 11) & 0xff))
const payloads = [1, 3, 11, 12, 100, 1000, 5000, 32_777, 5, 131_072, 261_000, 7].map(pattern)

/** Of a suite with what a provider has. */
const withProvider = ([cipher, mac]: Suite, provider: CryptoProvider): Suite => [
  providedCipher(cipher, provider),
  mac && providedMac(mac, provider),
]

/** The counters of all modes carry within a few packets. */
const keysOf = ([cipher, mac]: Suite): CipherKeys => ({
  key: pattern(cipher.keyLength),
  iv: Buffer.alloc(cipher.ivLength, 0xff),
  ...(mac && { mac: mac.create(pattern(mac.keyLength)) }),
})

function outputOf(suite: Suite): PacketOutput {
  // The same padding on both sides of a comparison.
  const output = new PacketOutput((target, start, end) => target.fill(0x55, start, end))
  output.setKeys(suite[0].createSealer(keysOf(suite)), true)
  return output
}

function inputOf(suite: Suite): PacketInput {
  const input = new PacketInput()
  input.setKeys(suite[0].createOpener(keysOf(suite)), true)
  return input
}

function seal(output: PacketOutput, payload: Buffer): Buffer {
  const chunks: Buffer[] = []
  output.begin().bytes(payload)
  output.seal(chunks)
  return Buffer.concat(chunks)
}

/** What asks `provider` in one suite, and how often it did not answer, never, or with something. */
function counting(provider: CryptoProvider): { provider: CryptoProvider; answers: Record<string, number> } {
  const answers = { none: 0, never: 0, something: 0 }
  const noted = <T>(answer: T): T => {
    answers[answer === undefined ? 'none' : answer === 'never' ? 'never' : 'something']++
    return answer
  }
  return {
    answers,
    provider: {
      names: provider.names,
      sealer: (...asked) => noted(provider.sealer(...asked)),
      opener: (...asked) => noted(provider.opener(...asked)),
      mac: (...asked) => noted(provider.mac(...asked)),
    },
  }
}

const first = suites[0]!
const available = typeof openssl.sealer(first[0], keysOf(first), { packets: 0, bytes: 0 }) === 'object'

describe.skipIf(!available)('OpenSSL called directly', () => {
  test('has every main cipher, and the MACs beside them that Node has', () => {
    for (const name of ['aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes128-ctr', 'aes256-ctr']) {
      expect(suites.some(([cipher]) => cipher.name === name)).toBe(true)
    }
    for (const suite of suites) {
      const { provider, answers } = counting(openssl)
      seal(outputOf(withProvider(suite, provider)), payloads[0]!)
      expect(answers.never).toBe(0)
      expect(answers.something).toBe(suite[1] && openssl.names.has(suite[1].name) ? 2 : 1)
    }
  })

  test.each(named)('%s: the engine writes the same bytes and opens them, and the other way round', (_name, suite) => {
    const native = withProvider(suite, openssl)
    const outputs = [outputOf(suite), outputOf(native)]
    const inputs = [inputOf(suite), inputOf(native)]
    const kept: [Buffer, Buffer][] = []
    for (const payload of payloads) {
      const [plain, sealed] = outputs.map(output => seal(output, payload))
      expect(sealed!.equals(plain!)).toBe(true)
      // As it lies in what was read: somewhere within.
      const arrived = Buffer.concat([pattern(7), plain!])
      for (const input of inputs) {
        input.push(arrived.subarray(7))
        kept.push([input.next()!, payload])
      }
    }
    // Compared at the end: no packet was written over by a later one.
    for (const [opened, payload] of kept) expect(opened.equals(payload)).toBe(true)
  })

  test.each(named)('%s: the peer does not see when it begins', (_name, suite) => {
    const { provider, answers } = counting(
      opensslFrom({ loading: 6000, contexts: 6000, packets: Number.POSITIVE_INFINITY }),
    )
    const late = withProvider(suite, provider)
    const [plain, changing] = [outputOf(suite), outputOf(late)]
    const input = inputOf(late)
    for (const payload of [...payloads, ...payloads]) {
      const sealed = seal(plain, payload)
      expect(seal(changing, payload).equals(sealed)).toBe(true)
      for (const part of [sealed.subarray(0, 20), sealed.subarray(20)]) input.push(part)
      expect(input.next()!.equals(payload)).toBe(true)
    }
    // The seventh packet made it enough, in both directions, for each of what there is.
    const each = suite[1] && provider.names.has(suite[1].name) ? 4 : 2
    expect(answers).toEqual({ none: each * 7, never: 0, something: each })
  })

  test.each(named)('%s: a changed bit anywhere ends the connection', (_name, suite) => {
    const native = withProvider(suite, openssl)
    const wire = seal(outputOf(suite), pattern(5000))
    // Past the length, of which some are waited for.
    for (const place of [16, 500, wire.length - 20, wire.length - 5, wire.length - 1]) {
      const changed = Buffer.from(wire)
      changed[place]! ^= 0x10
      const input = inputOf(native)
      input.push(changed)
      expect(() => input.next()).toThrow(expect.objectContaining({ code: 'mac-mismatch' }))
    }
    if (native[0].name === 'chacha20-poly1305@openssh.com') return
    if (suite[1]?.encryptThenMac === false) return
    // A length that says one block less: the packet is whole, its tag is not.
    const shorter = Buffer.from(wire)
    shorter.writeUInt32BE(shorter.readUInt32BE(0) - 16, 0)
    const input = inputOf(native)
    input.push(shorter)
    expect(() => input.next()).toThrow(expect.objectContaining({ code: 'mac-mismatch' }))
  })

  test('many small packets count as much as large ones, once it is loaded', () => {
    const { sealer } = opensslFrom({ loading: 0, contexts: 1_000_000, packets: 64 })
    const asked = (packets: number) => typeof sealer(first[0], keysOf(first), { packets, bytes: packets * 36 })
    expect([asked(63), asked(64)]).toEqual(['undefined', 'object'])
  })

  test('the keys are wiped once it has them, and kept where it never will', () => {
    for (const suite of suites) {
      const [cipher] = withProvider(suite, openssl)
      const keys = keysOf(suite)
      cipher.createSealer(keys).seal(0, Buffer.alloc(36), [])
      expect([...keys.key, ...keys.iv].every(byte => byte === 0)).toBe(true)
    }
    const keys = keysOf(first)
    const never = providedCipher(first[0], { ...openssl, sealer: () => 'never' })
    never.createSealer(keys).seal(0, Buffer.alloc(36), [])
    expect(keys.key.equals(pattern(first[0].keyLength))).toBe(true)
  })
})

test('a provider that never has anything changes nothing, and is asked once', () => {
  const { provider, answers } = counting({
    ...openssl,
    sealer: () => 'never',
    opener: () => 'never',
    mac: () => 'never',
  })
  const suite = first
  const given = withProvider(suite, provider)
  const [output, input] = [outputOf(given), inputOf(given)]
  for (const payload of payloads) {
    input.push(seal(output, payload))
    expect(input.next()!.equals(payload)).toBe(true)
  }
  expect(answers).toEqual({ none: 0, never: 2, something: 0 })
})

test('what it does not name is left as it is', () => {
  const cbc = allAlgorithms.cipher.find(({ name }) => name === 'aes128-cbc')!
  expect(providedCipher(cbc, openssl)).toBe(cbc)
})
