import { bitLength } from '../../crypto/dh.ts'
import { hashLength } from '../../crypto/hash.ts'
import { randomBytes } from '../../crypto/random.ts'
import { generateRsaDecryptionKey, oaepEncrypt, type RsaNumbers } from '../../crypto/rsa-oaep.ts'
import { ProtocolError } from '../../errors.ts'
import { message } from '../../wire/message.ts'
import { Reader } from '../../wire/reader.ts'
import { string } from '../../wire/struct.ts'
import { encode } from '../../wire/writer.ts'
import type { KexMethod, KexSecret } from '../kex.ts'

/** RFC 4432 §5. */
const PublicKeyMessage = message(30, 'KEXRSA_PUBKEY', 'kex', { hostKey: string, transientKey: string })
const SecretMessage = message(31, 'KEXRSA_SECRET', 'kex', { encryptedSecret: string })
const Done = message(32, 'KEXRSA_DONE', 'kex', { signature: string })

/** Longest modulus that a client computes with, bits. */
const maxModulusBits = 16_384

/** The client draws the secret and encrypts it with a key that the server made for it (RFC 4432). */
function row(name: string, hash: 'sha1' | 'sha256', bits: number): KexMethod {
  const failed = (text: string): ProtocolError => new ProtocolError('key-exchange-failed', `${text} in ${name}`)
  /** KLEN - 2·HLEN - 49: the secret is below this power of two (§4). */
  const secretBits = (modulusBits: number): number => modulusBits - 2 * hashLength[hash] * 8 - 49
  const outcome = (transientKey: Buffer, encryptedSecret: Buffer, sharedSecret: Buffer): KexSecret => ({
    transcript: encode(writer => writer.string(transientKey).string(encryptedSecret)),
    sharedSecret,
  })
  return {
    name,
    hash,
    async client(exchange) {
      const { hostKey, transientKey } = await exchange.receive(PublicKeyMessage)
      const numbers = readKey(transientKey)
      const modulusBits = bitLength(numbers.n)
      if (modulusBits < bits || modulusBits > maxModulusBits) throw failed('unacceptable RSA key of the server')
      const secret = encode(writer => writer.mpint(drawSecret(secretBits(modulusBits))))
      const encryptedSecret = oaepEncrypt(numbers, hash, secret)
      if (!encryptedSecret) throw failed('unusable RSA key of the server')
      exchange.send(SecretMessage, { encryptedSecret })
      const { signature } = await exchange.receive(Done)
      return { hostKey, signature, ...outcome(transientKey, encryptedSecret, secret) }
    },
    async server(exchange, host) {
      const key = await generateRsaDecryptionKey(bits, hash)
      const transientKey = encode(writer => writer.text('ssh-rsa').mpint(key.e).mpint(key.n))
      exchange.send(PublicKeyMessage, { hostKey: host.hostKey, transientKey })
      const { encryptedSecret } = await exchange.receive(SecretMessage)
      const secret = key.decrypt(encryptedSecret)
      if (!secret || !isSecret(secret, secretBits(bits))) throw failed('invalid secret of the client')
      const result = outcome(transientKey, encryptedSecret, secret)
      exchange.send(Done, { signature: await host.sign(result) })
      return result
    },
  }
}

function drawSecret(bits: number): Buffer {
  const secret = randomBytes(Math.ceil(bits / 8))
  secret[0]! &= 0xff >> (secret.length * 8 - bits)
  return secret
}

/** Whether what came out of OAEP is one mpint of at most so many bits. */
function isSecret(plaintext: Buffer, bits: number): boolean {
  try {
    const reader = new Reader(plaintext)
    const magnitude = reader.mpint()
    reader.finish()
    return bitLength(magnitude) <= bits
  } catch {
    return false
  }
}

function readKey(blob: Buffer): RsaNumbers {
  const reader = new Reader(blob)
  if (reader.text() !== 'ssh-rsa')
    throw new ProtocolError('malformed-message', 'transient key of another type than ssh-rsa')
  const numbers = { e: reader.mpint(), n: reader.mpint() }
  reader.finish()
  return numbers
}

export const rsa2048Sha256 = row('rsa2048-sha256', 'sha256', 2048)
export const rsa1024Sha1 = row('rsa1024-sha1', 'sha1', 1024)
