/**
 * A few algorithms written straight from the RFCs over node:crypto, apart from lib/algorithms: the tests of the
 * transport run with them and with the real ones, so that a mistake in one of the two shows.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto'
import type { CipherAlgorithm } from '../../lib/algorithms/cipher.ts'
import type { Algorithms } from '../../lib/algorithms/index.ts'
import type { KexMethod } from '../../lib/algorithms/kex.ts'
import type { MacAlgorithm } from '../../lib/algorithms/mac.ts'
import { ProtocolError } from '../../lib/errors.ts'
import { parsePublicKey } from '../../lib/keys/public-key.ts'
import type { Signer } from '../../lib/keys/signer.ts'
import { message } from '../../lib/wire/message.ts'
import { string } from '../../lib/wire/struct.ts'
import { encode } from '../../lib/wire/writer.ts'

const EcdhInit = message<{ ephemeral: Buffer }, 'KEX_ECDH_INIT'>(30, 'KEX_ECDH_INIT', 'kex', { ephemeral: string })
const EcdhReply = message<{ hostKey: Buffer; ephemeral: Buffer; signature: Buffer }, 'KEX_ECDH_REPLY'>(
  31,
  'KEX_ECDH_REPLY',
  'kex',
  { hostKey: string, ephemeral: string, signature: string },
)

// The last bytes of the DER: JWK of a generated key can stop Node (lib/crypto/generate-key.ts).
const rawPublic = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' }).subarray(-32)

function agree(privateKey: KeyObject, raw: Buffer): Buffer {
  if (raw.length !== 32) throw new ProtocolError('key-exchange-failed', 'bad length of a curve25519 key')
  const jwk = { kty: 'OKP', crv: 'X25519', x: raw.toString('base64url') }
  const publicKey = createPublicKey({ key: jwk, format: 'jwk' })
  return encode(writer => writer.mpint(diffieHellman({ privateKey, publicKey })))
}

const transcript = (init: Buffer, reply: Buffer): Buffer => encode(writer => writer.string(init).string(reply))

/** RFC 8731. */
export const curve25519: KexMethod = {
  name: 'curve25519-sha256',
  hash: 'sha256',
  async client(exchange) {
    const { publicKey, privateKey } = generateKeyPairSync('x25519')
    const ours = rawPublic(publicKey)
    exchange.send(EcdhInit, { ephemeral: ours })
    const { hostKey, ephemeral, signature } = await exchange.receive(EcdhReply)
    const sharedSecret = agree(privateKey, ephemeral)
    return { hostKey, signature, sharedSecret, transcript: transcript(ours, ephemeral) }
  },
  async server(exchange, host) {
    const { publicKey, privateKey } = generateKeyPairSync('x25519')
    const ours = rawPublic(publicKey)
    const { ephemeral } = await exchange.receive(EcdhInit)
    const secret = { sharedSecret: agree(privateKey, ephemeral), transcript: transcript(ephemeral, ours) }
    exchange.send(EcdhReply, { hostKey: host.hostKey, ephemeral: ours, signature: await host.sign(secret) })
    return secret
  },
}

/** RFC 5647 with the length in the clear. */
export const gcm: CipherAlgorithm = {
  name: 'aes128-gcm@openssh.com',
  keyLength: 16,
  ivLength: 12,
  authenticated: true,
  createSealer({ key, iv }) {
    const nonce = Buffer.from(iv)
    return {
      blockLength: 16,
      lengthApart: true,
      seal(_sequence, packet, out) {
        const cipher = createCipheriv('aes-128-gcm', key, nonce)
        cipher.setAAD(packet.subarray(0, 4))
        out.push(Buffer.from(packet.subarray(0, 4)), cipher.update(packet.subarray(4)))
        cipher.final()
        out.push(cipher.getAuthTag())
        nonce.writeBigUInt64BE(BigInt.asUintN(64, nonce.readBigUInt64BE(4) + 1n), 4)
      },
    }
  },
  createOpener({ key, iv }) {
    const nonce = Buffer.from(iv)
    return {
      blockLength: 16,
      lengthApart: true,
      headLength: 4,
      tagLength: 16,
      openLength: (_sequence, head) => head.readUInt32BE(0),
      open(_sequence, sealed) {
        const end = sealed.length - 16
        const decipher = createDecipheriv('aes-128-gcm', key, nonce)
        decipher.setAAD(sealed.subarray(0, 4))
        decipher.setAuthTag(sealed.subarray(end))
        const opened = decipher.update(sealed.subarray(4, end))
        try {
          decipher.final()
        } catch {
          throw new ProtocolError('mac-mismatch', 'Corrupted MAC on input.')
        }
        nonce.writeBigUInt64BE(BigInt.asUintN(64, nonce.readBigUInt64BE(4) + 1n), 4)
        return opened
      },
    }
  },
}

/** RFC 4344 and RFC 3602 (CBC, for its hidden errors), with a MAC over the plaintext or over the ciphertext. */
function aes(name: string, openssl: string): CipherAlgorithm {
  return {
    name,
    keyLength: 16,
    ivLength: 16,
    authenticated: false,
    createSealer({ key, iv, mac }) {
      const cipher = createCipheriv(openssl, key, iv).setAutoPadding(false)
      const apart = mac!.encryptThenMac
      return {
        blockLength: 16,
        lengthApart: apart,
        seal(sequence, packet, out) {
          const clear = Buffer.from(packet.subarray(0, apart ? 4 : 0))
          const sealed = Buffer.concat([clear, cipher.update(packet.subarray(clear.length))])
          out.push(sealed, mac!.compute(sequence, apart ? sealed : packet))
        },
      }
    },
    createOpener({ key, iv, mac }) {
      const decipher = createDecipheriv(openssl, key, iv).setAutoPadding(false)
      const apart = mac!.encryptThenMac
      let head: Buffer = Buffer.alloc(0)
      const check = (sequence: number, data: Buffer, tag: Buffer): void => {
        if (!mac!.compute(sequence, data).equals(tag))
          throw new ProtocolError('mac-mismatch', 'Corrupted MAC on input.')
      }
      return {
        blockLength: 16,
        lengthApart: apart,
        headLength: apart ? 4 : 16,
        tagLength: mac!.tagLength,
        openLength(_sequence, first) {
          head = apart ? first : decipher.update(first)
          return head.readUInt32BE(0)
        },
        open(sequence, sealed) {
          const end = sealed.length - mac!.tagLength
          if (apart) {
            check(sequence, sealed.subarray(0, end), sealed.subarray(end))
            return decipher.update(sealed.subarray(4, end))
          }
          const packet = Buffer.concat([head, decipher.update(sealed.subarray(16, end))])
          check(sequence, packet, sealed.subarray(end))
          return packet.subarray(4)
        },
        ...(openssl.endsWith('cbc') &&
          !apart && { spend: (bytes: number) => void mac!.compute(0, Buffer.alloc(bytes)) }),
      }
    },
  }
}

export const ctr = aes('aes128-ctr', 'aes-128-ctr')
export const cbc = aes('aes128-cbc', 'aes-128-cbc')

function hmac(name: string, encryptThenMac: boolean): MacAlgorithm {
  return {
    name,
    keyLength: 32,
    tagLength: 32,
    encryptThenMac,
    create: key => ({
      tagLength: 32,
      encryptThenMac,
      compute(sequence, ...parts) {
        const mac = createHmac('sha256', key)
        mac.update(encode(writer => writer.uint32(sequence)))
        for (const part of parts) mac.update(part)
        return mac.digest()
      },
    }),
  }
}

export const hmacSha256 = hmac('hmac-sha2-256', false)
export const hmacSha256Etm = hmac('hmac-sha2-256-etm@openssh.com', true)

export const localAlgorithms: Algorithms = {
  kex: [curve25519],
  hostKey: ['ssh-ed25519'],
  cipher: [gcm, ctr],
  mac: [hmacSha256Etm, hmacSha256],
  compression: [{ name: 'none', delayed: false }],
}

/** A new Ed25519 key (RFC 8709). */
export function ed25519Signer(): Signer {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const blob = encode(writer => writer.text('ssh-ed25519').string(rawPublic(publicKey)))
  return {
    publicKey: parsePublicKey(blob),
    algorithms: ['ssh-ed25519'],
    blob,
    comment: 'test',
    sign: async data => encode(writer => writer.text('ssh-ed25519').string(sign(null, data, privateKey))),
  }
}
