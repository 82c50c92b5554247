import { aesCtr, type StreamCipher } from '../../crypto/aes.ts'
import { equalBytes } from '../../crypto/constant-time.ts'
import { ProtocolError, UsageError } from '../../errors.ts'
import type { CipherAlgorithm, CipherKeys, PacketOpener, PacketSealer } from '../cipher.ts'
import type { Mac } from '../mac.ts'

/** A cipher that needs a MAC beside it: MAC over the plaintext (RFC 4253 §6.4) or over the ciphertext (PROTOCOL §1.5). */
const row = (bits: 128 | 192 | 256): CipherAlgorithm => ({
  name: `aes${bits}-ctr`,
  keyLength: bits / 8,
  ivLength: 16,
  authenticated: false,
  createSealer: keys => streamSealer(aesCtr(keys.key, keys.iv), 16, requireMac(keys)),
  createOpener: keys => streamOpener(aesCtr(keys.key, keys.iv), 16, requireMac(keys)),
})

export const aes128Ctr = row(128)
export const aes192Ctr = row(192)
export const aes256Ctr = row(256)

function requireMac({ mac }: CipherKeys): Mac {
  if (!mac) throw new UsageError('this cipher needs a MAC')
  return mac
}

const wrongMac = (): ProtocolError => new ProtocolError('mac-mismatch', 'message authentication code incorrect')

function streamSealer(encrypt: StreamCipher, blockLength: number, mac: Mac): PacketSealer {
  if (!mac.encryptThenMac) {
    return {
      blockLength,
      lengthApart: false,
      seal(sequence, packet, out) {
        const tag = mac.compute(sequence, packet)
        out.push(encrypt(packet), tag)
      },
    }
  }
  return {
    blockLength,
    lengthApart: true,
    seal(sequence, packet, out) {
      const length = Buffer.from(packet.subarray(0, 4))
      const body = encrypt(packet.subarray(4))
      out.push(length, body, mac.compute(sequence, length, body))
    },
  }
}

function streamOpener(decrypt: StreamCipher, blockLength: number, mac: Mac): PacketOpener {
  const { tagLength } = mac
  if (mac.encryptThenMac) {
    return {
      blockLength,
      lengthApart: true,
      headLength: 4,
      tagLength,
      openLength: (_sequence, head) => head.readUInt32BE(0),
      open(sequence, sealed) {
        const end = sealed.length - tagLength
        if (!equalBytes(mac.compute(sequence, sealed.subarray(0, end)), sealed.subarray(end))) throw wrongMac()
        return decrypt(sealed.subarray(4, end))
      },
    }
  }
  // The first block is decrypted for its length, once, as the stream cannot go back.
  let head: Buffer = Buffer.alloc(0)
  return {
    blockLength,
    lengthApart: false,
    headLength: blockLength,
    tagLength,
    openLength(_sequence, sealedHead) {
      head = decrypt(sealedHead.subarray(0, blockLength))
      return head.readUInt32BE(0)
    },
    open(sequence, sealed) {
      const end = sealed.length - tagLength
      const packet = Buffer.allocUnsafe(end)
      head.copy(packet, 0)
      if (end > blockLength) decrypt(sealed.subarray(blockLength, end)).copy(packet, blockLength)
      if (!equalBytes(mac.compute(sequence, packet), sealed.subarray(end))) throw wrongMac()
      return packet.subarray(4)
    },
  }
}
