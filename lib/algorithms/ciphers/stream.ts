import { aesCtr, type StreamCipher } from '../../crypto/aes.ts'
import { equalBytes } from '../../crypto/constant-time.ts'
import { ProtocolError, UsageError } from '../../errors.ts'
import type { CipherAlgorithm, CipherKeys, PacketOpener, PacketSealer } from '../cipher.ts'
import type { Mac } from '../mac.ts'

/** A cipher that needs a MAC beside it: MAC over the plaintext (RFC 4253 §6.4) or over the ciphertext (PROTOCOL §1.5). */
export interface StreamParts {
  readonly name: string
  readonly keyLength: number
  readonly ivLength: number
  readonly blockLength: number
  /** Blocks depend on those before (CBC): errors of a MAC over the plaintext must be hidden. */
  readonly chained: boolean
  encryptor(key: Buffer, iv: Buffer): StreamCipher
  decryptor(key: Buffer, iv: Buffer): StreamCipher
}

export const streamCipher = (parts: StreamParts): CipherAlgorithm => ({
  name: parts.name,
  keyLength: parts.keyLength,
  ivLength: parts.ivLength,
  authenticated: false,
  createSealer: keys => streamSealer(parts.encryptor(keys.key, keys.iv), parts.blockLength, requireMac(keys)),
  createOpener(keys) {
    const decrypt = parts.decryptor(keys.key, keys.iv)
    const mac = requireMac(keys)
    if (mac.encryptThenMac) return openerBehindMac(decrypt, parts.blockLength, mac)
    const opener = openerBeforeMac(decrypt, parts.blockLength, mac)
    return parts.chained ? { ...opener, spend: bytes => void mac.compute(0, Buffer.alloc(bytes)) } : opener
  },
})

const ctr = (bits: 128 | 192 | 256): CipherAlgorithm =>
  streamCipher({
    name: `aes${bits}-ctr`,
    keyLength: bits / 8,
    ivLength: 16,
    blockLength: 16,
    chained: false,
    encryptor: aesCtr,
    decryptor: aesCtr,
  })

export const aes128Ctr = ctr(128)
export const aes192Ctr = ctr(192)
export const aes256Ctr = ctr(256)

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

/** The MAC is over the ciphertext: nothing is decrypted before it is right. */
function openerBehindMac(decrypt: StreamCipher, blockLength: number, mac: Mac): PacketOpener {
  const { tagLength } = mac
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

/** The MAC is over the plaintext: the first block is decrypted for its length, once, as the stream cannot go back. */
function openerBeforeMac(decrypt: StreamCipher, blockLength: number, mac: Mac): PacketOpener {
  const { tagLength } = mac
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
