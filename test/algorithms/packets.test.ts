import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CipherAlgorithm } from '../../lib/algorithms/cipher.ts'
import { allAlgorithms, defaultAlgorithms, defaultServerAlgorithms } from '../../lib/algorithms/index.ts'
import type { MacAlgorithm } from '../../lib/algorithms/mac.ts'
import { fillPadding } from '../../lib/crypto/random.ts'
import { ProtocolError } from '../../lib/errors.ts'
import { defaultSignatureAlgorithms } from '../../lib/keys/algorithms.ts'
import { maxPacketLength, PacketInput, PacketOutput } from '../../lib/transport/packet.ts'
import { cbc, ctr, gcm, hmacSha256, hmacSha256Etm } from '../support/local-algorithms.ts'

const { cipher: ciphers, mac: macs } = allAlgorithms

const named = <T extends { readonly name: string }>(list: readonly T[], name: string): T =>
  list.find(each => each.name === name)!

const pattern = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => (i * 37 + 11) & 0xff))

/** Both ends of one direction, each with algorithms of its own. */
function direction(
  sealing: readonly [CipherAlgorithm, MacAlgorithm | undefined],
  opening: readonly [CipherAlgorithm, MacAlgorithm | undefined] = sealing,
): { output: PacketOutput; input: PacketInput } {
  const keys = ([cipher, mac]: typeof sealing) => ({
    key: pattern(cipher.keyLength),
    iv: pattern(cipher.ivLength),
    ...(mac && { mac: mac.create(pattern(mac.keyLength)) }),
  })
  const output = new PacketOutput(fillPadding)
  const input = new PacketInput()
  output.setKeys(sealing[0].createSealer(keys(sealing)), true)
  input.setKeys(opening[0].createOpener(keys(opening)), true)
  return { output, input }
}

function seal(output: PacketOutput, payloads: readonly Buffer[]): Buffer {
  const chunks: Buffer[] = []
  for (const payload of payloads) {
    output.begin().bytes(payload)
    output.seal(chunks)
  }
  return Buffer.concat(chunks)
}

/** Pushes the stream in pieces of these sizes, over and over, and takes what comes. */
function open(input: PacketInput, wire: Buffer, sizes: readonly number[]): Buffer[] {
  const payloads: Buffer[] = []
  for (let at = 0, i = 0; at < wire.length; i++) {
    const size = sizes[i % sizes.length]!
    input.push(wire.subarray(at, at + size))
    at += size
    for (let payload = input.next(); payload; payload = input.next()) payloads.push(payload)
  }
  return payloads
}

const pairs = ciphers.flatMap((cipher): (readonly [CipherAlgorithm, MacAlgorithm | undefined])[] =>
  cipher.authenticated ? [[cipher, undefined]] : macs.map(mac => [cipher, mac] as const),
)
const perCipher = ciphers.map(({ name }) => [name, pairs.filter(([cipher]) => cipher.name === name)] as const)
const nameOf = ([cipher, mac]: (typeof pairs)[number]): string => `${cipher.name} ${mac?.name ?? ''}`.trim()

const payloads = [1, 3, 4, 8, 11, 12, 16, 31, 32, 100, 1000, 1020, 4091, 5000, 33_000].map(pattern)

describe('every cipher with every MAC', () => {
  test.each(perCipher)('%s', (_name, own) => {
    const sent = Buffer.concat([...payloads, ...payloads.slice(0, 11), ...payloads])
    for (const pair of own) {
      const { output, input } = direction(pair)
      // What was opened stays as it is while later packets come.
      const opened = [
        ...open(input, seal(output, payloads), [100_000]),
        ...open(input, seal(output, payloads.slice(0, 11)), [1]),
        ...open(input, seal(output, payloads), [1000, 7, 4099]),
      ]
      expect(Buffer.concat(opened).equals(sent), nameOf(pair)).toBe(true)
    }
  })

  test('in chunks of any sizes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...pairs),
        fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 6000 }), { minLength: 1, maxLength: 6 }),
        (pair, sizes, lengths) => {
          const { output, input } = direction(pair)
          const sent = lengths.map(pattern)
          return Buffer.concat(open(input, seal(output, sent), sizes)).equals(Buffer.concat(sent))
        },
      ),
      { numRuns: 150 },
    )
  })

  test.each(perCipher)('%s: a changed byte ends it', (_name, own) => {
    for (const pair of own) {
      const wire = seal(direction(pair).output, [pattern(100)])
      // Past the length: a changed length waits for bytes that do not come.
      for (const at of [20, 60, wire.length - 1]) {
        const { input } = direction(pair)
        const changed = Buffer.from(wire)
        changed[at]! ^= 1
        input.push(changed)
        const hidden = /cbc/.test(pair[0].name) && !pair[1]!.encryptThenMac
        if (hidden) {
          expect(input.next()).toBeUndefined()
          input.push(Buffer.alloc(maxPacketLength))
        }
        expect(() => input.next(), `${nameOf(pair)}, byte ${at}`).toThrow(ProtocolError)
      }
    }
  })
})

describe('a packet that is authentic and malformed ends the connection in every mode', () => {
  /** packet_length, padding_length and the rest, sealed as they are. */
  const sealed = ([cipher, mac]: (typeof pairs)[number], padding: number, rest: number): Buffer => {
    const sealer = cipher.createSealer({
      key: pattern(cipher.keyLength),
      iv: pattern(cipher.ivLength),
      ...(mac && { mac: mac.create(pattern(mac.keyLength)) }),
    })
    const packet = Buffer.alloc(5 + rest)
    packet.writeUInt32BE(1 + rest, 0)
    packet[4] = padding
    const chunks: Buffer[] = []
    sealer.seal(0, packet, chunks)
    return Buffer.concat(chunks)
  }
  test.each(perCipher)('%s', (_name, own) => {
    for (const pair of own) {
      const [cipher, mac] = pair
      const apart = cipher.authenticated || mac?.encryptThenMac === true
      // A whole number of blocks of 16 bytes, with and without the length in the first.
      const rest = 32 - (apart ? 1 : 5)
      // Too little padding; padding that leaves no payload; more padding than there are bytes.
      for (const padding of [0, 3, rest, rest + 1, 255]) {
        const { input } = direction(pair)
        input.push(sealed(pair, padding, rest))
        expect(() => input.next(), `${nameOf(pair)}, padding ${padding}`).toThrow(/Corrupted padlen/)
      }
      const { input } = direction(pair)
      input.push(sealed(pair, rest - 1, rest))
      expect(input.next(), nameOf(pair)).toEqual(Buffer.alloc(1))
    }
  })
})

describe('against algorithms written apart', () => {
  const suites: (readonly [CipherAlgorithm, MacAlgorithm | undefined])[] = [
    [gcm, undefined],
    [ctr, hmacSha256],
    [ctr, hmacSha256Etm],
    [cbc, hmacSha256],
    [cbc, hmacSha256Etm],
  ]
  test.each(suites.map(pair => [nameOf(pair), pair] as const))('%s', (_name, local) => {
    const own = [named(ciphers, local[0].name), local[1] && named(macs, local[1].name)] as const
    for (const [from, to] of [
      [own, local],
      [local, own],
    ] as const) {
      const { output, input } = direction(from, to)
      expect(Buffer.concat(open(input, seal(output, payloads), [5000])).equals(Buffer.concat(payloads))).toBe(true)
    }
  })
})

describe('CBC with a MAC over the plaintext hides where a packet is broken (CVE-2008-5161)', () => {
  const chained = ciphers.filter(({ name }) => name.includes('cbc'))

  test('ciphers are there', () => expect(chained.length).toBeGreaterThanOrEqual(5))

  test.each(chained.map(cipher => [cipher.name, cipher] as const))('%s', (_name, cipher) => {
    const mac = named(macs, 'hmac-sha2-256')
    const wire = seal(direction([cipher, mac]).output, [pattern(200)])
    const errors: unknown[] = []
    for (const at of [0, 3, 40, wire.length - 1]) {
      const { input } = direction([cipher, mac])
      const changed = Buffer.from(wire)
      changed[at]! ^= 0x80
      input.push(changed)
      expect(input.next()).toBeUndefined()
      input.push(Buffer.alloc(maxPacketLength - wire.length - 1))
      expect(input.next()).toBeUndefined()
      input.push(Buffer.alloc(600))
      try {
        input.next()
      } catch (error) {
        errors.push(error)
      }
    }
    expect(errors).toEqual(Array(4).fill(new ProtocolError('mac-mismatch', 'Packet corrupt')))
  })

  test('a MAC over the ciphertext tells at once, and CTR has nothing to hide', () => {
    const first = chained[0]!
    for (const pair of [
      [first, named(macs, 'hmac-sha2-256-etm@openssh.com')],
      [named(ciphers, 'aes128-ctr'), named(macs, 'hmac-sha2-256')],
    ] as const) {
      const wire = seal(direction(pair).output, [pattern(50)])
      wire[wire.length - 1]! ^= 1
      const { input } = direction(pair)
      input.push(wire)
      expect(() => input.next()).toThrow(ProtocolError)
    }
  })
})

describe('defaults are those of OpenSSH 10.5', () => {
  const namesOf = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name)

  test('ciphers, AES-GCM first', () => {
    expect(namesOf(defaultAlgorithms.cipher)).toEqual([
      'aes128-gcm@openssh.com',
      'aes256-gcm@openssh.com',
      'chacha20-poly1305@openssh.com',
      'aes128-ctr',
      'aes192-ctr',
      'aes256-ctr',
    ])
  })

  test('MACs', () => {
    expect(namesOf(defaultAlgorithms.mac)).toEqual([
      'umac-64-etm@openssh.com',
      'umac-128-etm@openssh.com',
      'hmac-sha2-256-etm@openssh.com',
      'hmac-sha2-512-etm@openssh.com',
      'hmac-sha1-etm@openssh.com',
      'umac-64@openssh.com',
      'umac-128@openssh.com',
      'hmac-sha2-256',
      'hmac-sha2-512',
      'hmac-sha1',
    ])
  })

  test('key exchanges; a server proposes none of Diffie-Hellman', () => {
    const curvesAndKems = [
      'mlkem768x25519-sha256',
      'sntrup761x25519-sha512',
      'sntrup761x25519-sha512@openssh.com',
      'curve25519-sha256',
      'curve25519-sha256@libssh.org',
      'ecdh-sha2-nistp256',
      'ecdh-sha2-nistp384',
      'ecdh-sha2-nistp521',
    ]
    expect(namesOf(defaultServerAlgorithms.kex)).toEqual(curvesAndKems)
    expect(namesOf(defaultAlgorithms.kex)).toEqual([
      ...curvesAndKems,
      'diffie-hellman-group-exchange-sha256',
      'diffie-hellman-group16-sha512',
      'diffie-hellman-group18-sha512',
      'diffie-hellman-group14-sha256',
    ])
  })

  test('host keys and user keys, certificates first', () => {
    const plain = [
      'ssh-ed25519',
      'ecdsa-sha2-nistp256',
      'ecdsa-sha2-nistp384',
      'ecdsa-sha2-nistp521',
      'sk-ssh-ed25519@openssh.com',
      'sk-ecdsa-sha2-nistp256@openssh.com',
      'webauthn-sk-ecdsa-sha2-nistp256@openssh.com',
      'rsa-sha2-512',
      'rsa-sha2-256',
    ]
    const certified = plain.map(name => `${name.replace('@openssh.com', '')}-cert-v01@openssh.com`)
    expect(defaultAlgorithms.hostKey).toEqual([...certified, ...plain])
    expect(defaultServerAlgorithms.hostKey).toEqual([...certified, ...plain])
    expect(defaultSignatureAlgorithms).toEqual([...certified, ...plain])
  })

  test('compression, the kind before authentication not offered', () => {
    expect(namesOf(defaultAlgorithms.compression)).toEqual(['none', 'zlib@openssh.com'])
  })
})
