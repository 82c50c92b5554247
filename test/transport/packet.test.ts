import { describe, expect, it } from 'vitest'
import type { CipherAlgorithm } from '../../lib/algorithms/cipher.ts'
import type { MacAlgorithm } from '../../lib/algorithms/mac.ts'
import { ProtocolError, SshError } from '../../lib/errors.ts'
import { maxPacketLength, PacketInput, PacketOutput } from '../../lib/transport/packet.ts'
import { cbc, ctr, gcm, hmacSha256, hmacSha256Etm } from '../support/local-algorithms.ts'

const fillPadding = (target: Buffer, start: number, end: number): void => {
  target.fill(0xa5, start, end)
}

function keyed(cipher: CipherAlgorithm, mac: MacAlgorithm) {
  const keys = () => ({
    key: Buffer.alloc(cipher.keyLength, 1),
    iv: Buffer.alloc(cipher.ivLength, 2),
    ...(!cipher.authenticated && { mac: mac.create(Buffer.alloc(mac.keyLength, 3)) }),
  })
  const output = new PacketOutput(fillPadding)
  const input = new PacketInput()
  output.setKeys(cipher.createSealer(keys()), false)
  input.setKeys(cipher.createOpener(keys()), false)
  return { output, input }
}

function seal(output: PacketOutput, payload: Buffer): Buffer {
  const out: Buffer[] = []
  output.begin().bytes(payload)
  output.seal(out)
  return Buffer.concat(out)
}

function plain(length: number, padding: number, body = length - 1): Buffer {
  const packet = Buffer.alloc(5 + body, 7)
  packet.writeUInt32BE(length, 0)
  packet[4] = padding
  return packet
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return (error as ProtocolError).code
  }
  return 'nothing thrown'
}

function receive(bytes: Buffer): Buffer | undefined {
  const input = new PacketInput()
  input.push(bytes)
  return input.next()
}

describe('a packet in the clear', () => {
  it('is laid out as RFC 4253 §6 says', () => {
    const packet = seal(new PacketOutput(fillPadding), Buffer.from('abc'))
    expect(packet.toString('hex')).toBe('0000000c08616263' + '00'.repeat(8))
    expect(receive(packet)?.toString()).toBe('abc')
  })

  it('has a length within its bounds, checked before more of it is awaited', () => {
    for (const length of [0, 1, 4, 5, 11, 13, maxPacketLength, maxPacketLength + 12, 0x7fffffff, 0xffffffff]) {
      const head = Buffer.alloc(4)
      head.writeUInt32BE(length)
      expect(
        codeOf(() => receive(head)),
        String(length),
      ).toBe('bad-packet-length')
    }
    const head = Buffer.alloc(4)
    head.writeUInt32BE(maxPacketLength - 4)
    expect(receive(head)).toBeUndefined()
  })

  it('has at least four bytes of padding and one of payload', () => {
    for (const padding of [0, 1, 3, 11, 12, 255]) {
      expect(
        codeOf(() => receive(plain(12, padding))),
        String(padding),
      ).toBe('bad-packet-length')
    }
    expect(receive(plain(12, 10))?.length).toBe(1)
    expect(receive(plain(12, 4))?.length).toBe(7)
  })

  it('of 35000 bytes works, and of 200000', () => {
    for (const size of [35_000, 200_000]) {
      const payload = Buffer.alloc(size, 9)
      expect(receive(seal(new PacketOutput(fillPadding), payload))).toEqual(payload)
    }
  })
})

for (const [cipher, mac] of [
  [gcm, hmacSha256],
  [ctr, hmacSha256],
  [ctr, hmacSha256Etm],
  [cbc, hmacSha256],
] as const) {
  const name = cipher.authenticated ? cipher.name : `${cipher.name} with ${mac.name}`
  describe(name, () => {
    it('carries payloads of any length in chunks of any size', () => {
      for (const chunk of [1, 2, 17, 64, 1000, 1 << 20]) {
        const { output, input } = keyed(cipher, mac)
        const payloads = [1, 2, 11, 12, 13, 27, 28, 255, 256, 3000].map(size => Buffer.alloc(size, size))
        const stream = Buffer.concat(payloads.map(payload => seal(output, payload)))
        const found: Buffer[] = []
        for (let at = 0; at < stream.length; at += chunk) {
          input.push(stream.subarray(at, at + chunk))
          for (let payload = input.next(); payload; payload = input.next()) found.push(payload)
        }
        expect(found).toEqual(payloads)
        expect(input.lastSequence).toBe(payloads.length - 1)
        expect(input.traffic.totalBytes).toBe(stream.length)
      }
    })

    it('takes chunks that were pushed before earlier ones were used up', () => {
      const { output, input } = keyed(cipher, mac)
      const payloads = [5, 500, 50].map(size => Buffer.alloc(size, size))
      const stream = Buffer.concat(payloads.map(payload => seal(output, payload)))
      for (let at = 0; at < stream.length; at += 9) input.push(stream.subarray(at, at + 9))
      expect(payloads.map(() => input.next())).toEqual(payloads)
      expect(input.next()).toBeUndefined()
      expect(input.pending).toBe(false)
    })

    it('notices every changed byte', () => {
      const { output } = keyed(cipher, mac)
      const packet = seal(output, Buffer.from('a payload of some length'))
      for (let at = 0; at < packet.length; at++) {
        const { input } = keyed(cipher, mac)
        const changed = Buffer.from(packet)
        changed[at]! ^= 0x10
        let outcome: unknown
        try {
          input.push(changed)
          outcome = input.next()
        } catch (error) {
          expect(error, `byte ${at}`).toBeInstanceOf(SshError)
          continue
        }
        // A longer length waits for what does not come; CBC tells of no error until 256 KiB came.
        expect(outcome, `byte ${at}`).toBeUndefined()
      }
    })
  })
}

describe('CBC with a MAC over the plaintext', () => {
  it('shows an error only after the longest possible packet', () => {
    for (const at of [0, 20]) {
      const { output, input } = keyed(cbc, hmacSha256)
      const packet = seal(output, Buffer.alloc(100))
      packet[at]! ^= 0x80
      input.push(packet)
      expect(input.next()).toBeUndefined()
      for (let sent = packet.length; sent < maxPacketLength - 4096; sent += 4096) {
        input.push(Buffer.alloc(4096))
        expect(input.next()).toBeUndefined()
      }
      input.push(Buffer.alloc(8192))
      // Not even the words tell which it was.
      expect(() => input.next()).toThrow(new ProtocolError('mac-mismatch', 'Packet corrupt'))
    }
  })
})
