import { hash } from '../../crypto/hash.ts'
import { tripleDesCbcDecrypt } from '../../crypto/key-cipher.ts'
import { KeyError } from '../../errors.ts'
import { Reader } from '../../wire/reader.ts'
import { encode, type Writer } from '../../wire/writer.ts'
import { findFamily } from '../families/index.ts'
import { PrivateKey } from '../private-key.ts'
import { reading } from '../public-key.ts'
import { isSsh2File, parseSsh2File, ssh2Header } from './rfc4716.ts'

/** Private keys of ssh.com's old SSH2, which are read only. Their numbers carry a count of bits, not of bytes. */

const magic = 0x3f6ff9eb

export const isSshCom = (text: string): boolean => isSsh2File(text, 'private')

/** @throws KeyError `passphrase-required`, `wrong-passphrase`, `malformed`, `unsupported` */
export function parseSshCom(text: string, passphrase: Buffer | string | undefined): PrivateKey {
  return reading('private key', () => {
    const file = parseSsh2File(text)
    const reader = new Reader(file.body)
    if (reader.uint32() !== magic) throw new KeyError('malformed', 'private key file has the wrong magic')
    // The length of it all, which the armour says too.
    reader.uint32()
    const [type, cipher, sealed] = [reader.text(), reader.text(), reader.string()]
    const comment = ssh2Header(file, 'Comment') ?? ''
    const plain = decrypt(cipher, sealed, passphrase)
    try {
      return readNumbers(type, plain, cipher !== 'none', comment)
    } finally {
      plain.fill(0)
    }
  })
}

function decrypt(cipher: string, sealed: Buffer, passphrase: Buffer | string | undefined): Buffer {
  if (cipher === 'none') return sealed
  if (cipher !== '3des-cbc') throw new KeyError('unsupported', `unsupported cipher ${JSON.stringify(cipher)}`)
  if (!passphrase?.length) throw new KeyError('passphrase-required', 'private key needs a passphrase')
  if (sealed.length === 0 || sealed.length % 8 !== 0)
    throw new KeyError('malformed', 'private key is not a whole number of blocks')
  const secret = Buffer.from(passphrase)
  const first = hash('md5', secret)
  return tripleDesCbcDecrypt(
    Buffer.concat([first, hash('md5', secret, first)]).subarray(0, 24),
    Buffer.alloc(8),
    sealed,
  )
}

function readNumbers(type: string, plain: Buffer, encrypted: boolean, comment: string): PrivateKey {
  const damaged = encrypted
    ? new KeyError('wrong-passphrase', 'wrong passphrase for the private key')
    : new KeyError('malformed', 'private key is damaged')
  const outer = new Reader(plain)
  if (outer.remaining < 4 || outer.uint32() > outer.remaining) throw damaged
  const body = new Reader(plain, 4, 4 + plain.readUInt32BE(0))
  const number = (): Buffer => {
    const bytes = body.bytes(Math.ceil(body.uint32() / 8))
    return bytes.subarray(bytes.findIndex(byte => byte !== 0) < 0 ? bytes.length : bytes.findIndex(byte => byte !== 0))
  }
  const read = (): PrivateKey => {
    if (type.startsWith('if-modn')) {
      const [e, d, n, iqmp, q, p] = [number(), number(), number(), number(), number(), number()]
      return build('ssh-rsa', writer => writer.mpint(n).mpint(e).mpint(d).mpint(iqmp).mpint(p).mpint(q), comment)
    }
    if (type.startsWith('dl-modp')) {
      if (body.uint32() !== 0) throw new KeyError('unsupported', 'private key of a predefined group')
      const [p, g, q, y, x] = [number(), number(), number(), number(), number()]
      return build('ssh-dss', writer => writer.mpint(p).mpint(q).mpint(g).mpint(y).mpint(x), comment)
    }
    throw new KeyError('unsupported', `unsupported key type ${JSON.stringify(type)}`)
  }
  try {
    return read()
  } catch (error) {
    // A wrong passphrase leaves noise.
    if (encrypted && !(error instanceof KeyError && error.code === 'unsupported')) throw damaged
    throw error
  }
}

function build(type: string, write: (writer: Writer) => unknown, comment: string): PrivateKey {
  const fields = encode(write)
  const key = new PrivateKey(findFamily(type)!.readPrivate(new Reader(fields)), comment)
  fields.fill(0)
  // Only signing shows whether the private numbers fit.
  const data = Buffer.from('a test')
  const algorithm = key.publicKey.algorithms.includes('rsa-sha2-256') ? 'rsa-sha2-256' : type
  if (!key.publicKey.verify(data, key.sign(data, algorithm), algorithm))
    throw new KeyError('mismatch', 'private key does not fit its public half')
  return key
}
