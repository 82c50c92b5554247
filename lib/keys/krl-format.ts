import { KeyError } from '../errors.ts'
import { Reader } from '../wire/reader.ts'
import { encode, Writer } from '../wire/writer.ts'
import { Krl, keyIdBytes, keyIdText, type RevokedCertificates } from './krl.ts'
import { type PublicKey, parsePublicKey, reading } from './public-key.ts'
import type { SerialRange, SerialSet } from './serial-set.ts'
import { type Signer, signingAlgorithms } from './signer.ts'

/** The file format of key revocation lists (OpenSSH's PROTOCOL.krl). */

const magic = Buffer.from('SSHKRL\n\0')
const formatVersion = 1

const section = { certificates: 1, keys: 2, sha1: 3, signature: 4, sha256: 5, extension: 255 } as const
const subsection = { list: 0x20, range: 0x21, bitmap: 0x22, keyIds: 0x23, extension: 0x39 } as const

/** Longest file that is read, in bytes. */
const fileLimit = 256 * 1024 * 1024
/** Most bits of one bitmap that is read (OpenSSH's bound), and of one that is written. */
const bitmapLimit = 1 << 24
const writtenBitmapLimit = 1n << 20n

/** Whether a file begins as a revocation list does; else it may be a text file of keys. */
export const isKrl = (file: Buffer): boolean => file.subarray(0, magic.length).equals(magic)

/**
 * Reads a list. Signatures in it are checked, and must come last.
 * @throws KeyError `unknown-format`, `malformed`, `bad-signature`, `unsupported` (a critical extension that we do not know)
 */
export function parseKrl(file: Buffer): Krl {
  if (!isKrl(file)) throw new KeyError('unknown-format', 'not a key revocation list')
  if (file.length > fileLimit) throw new KeyError('malformed', 'key revocation list is too long')
  return reading('key revocation list', () => {
    const krl = new Krl()
    const reader = new Reader(file, magic.length)
    const format = reader.uint32()
    if (format !== formatVersion) throw new KeyError('unsupported', `unsupported KRL format version ${format}`)
    krl.version = reader.uint64()
    krl.generated = reader.uint64()
    // Flags, of which there are none yet, and a reserved field.
    reader.uint64()
    reader.string()
    krl.comment = reader.text()
    const signers: PublicKey[] = []
    while (reader.remaining > 0) {
      const type = reader.byte()
      if (type === section.signature) {
        signers.push(readSignature(file, reader))
        continue
      }
      if (signers.length > 0) throw new KeyError('malformed', 'KRL has a section after its signature')
      readSection(krl, type, new Reader(reader.string()))
    }
    krl.signers = signers
    return krl
  })
}

function readSignature(file: Buffer, reader: Reader): PublicKey {
  const key = parsePublicKey(reader.string())
  const signed = file.subarray(0, reader.offset)
  if (!key.verify(signed, reader.string(), undefined, { touchRequired: false }))
    throw new KeyError('bad-signature', 'KRL signature does not verify')
  return key
}

function readSection(krl: Krl, type: number, reader: Reader): void {
  switch (type) {
    case section.certificates:
      readCertificates(krl, reader)
      return
    case section.keys:
      while (reader.remaining > 0) krl.revokeBlob(reader.string())
      return
    case section.sha1:
      while (reader.remaining > 0) krl.revokeDigest('sha1', reader.string())
      return
    case section.sha256:
      while (reader.remaining > 0) krl.revokeDigest('sha256', reader.string())
      return
    case section.extension:
      passExtension(reader)
      return
    default:
      throw new KeyError('malformed', `Unsupported KRL section ${type}`)
  }
}

/** Extensions are for others to know; one that must be known makes the list unusable. */
function passExtension(reader: Reader): void {
  const name = reader.text()
  const critical = reader.boolean()
  reader.string()
  reader.finish()
  if (critical) throw new KeyError('unsupported', `KRL contains unsupported critical extension ${JSON.stringify(name)}`)
}

function readCertificates(krl: Krl, reader: Reader): void {
  const blob = reader.string()
  reader.string()
  const authority = blob.length > 0 ? parsePublicKey(blob) : undefined
  const { serials } = krl.certificatesOf(authority)
  while (reader.remaining > 0) {
    const type = reader.byte()
    const body = new Reader(reader.string())
    switch (type) {
      case subsection.list:
        while (body.remaining > 0) serials.add(body.uint64())
        break
      case subsection.range:
        serials.add(body.uint64(), body.uint64())
        body.finish()
        break
      case subsection.bitmap:
        readBitmap(serials, body)
        break
      case subsection.keyIds:
        while (body.remaining > 0) krl.revokeKeyId(authority, keyIdText(withoutNul(body.string())))
        break
      case subsection.extension:
        passExtension(body)
        break
      default:
        throw new KeyError('malformed', `Unsupported KRL certificate section ${type}`)
    }
  }
}

function withoutNul(bytes: Buffer): Buffer {
  if (bytes.includes(0)) throw new KeyError('malformed', 'KRL has a key ID with a NUL')
  return bytes
}

/** Bit n, counted from the end of the number, is serial number offset + n. */
function readBitmap(serials: SerialSet, reader: Reader): void {
  const offset = reader.uint64()
  const bytes = reader.mpint()
  reader.finish()
  if (bytes.length * 8 > bitmapLimit) throw new KeyError('malformed', 'KRL has a bitmap that is too long')
  const length = bytes.length * 8
  const bit = (n: number): boolean => ((bytes[bytes.length - 1 - (n >> 3)]! >> (n & 7)) & 1) === 1
  for (let n = 0; n < length; n++) {
    if (!bit(n)) continue
    const first = n
    while (n + 1 < length && bit(n + 1)) n++
    if (offset + BigInt(n) > 0xffff_ffff_ffff_ffffn) throw new KeyError('malformed', 'KRL has a bitmap past the end')
    serials.add(offset + BigInt(first), offset + BigInt(n))
  }
}

/** The file's bytes, without signatures. */
export function formatKrl(krl: Krl): Buffer {
  return encode(writer => {
    writer.bytes(magic).uint32(formatVersion).uint64(krl.version).uint64(krl.generated)
    writer.uint64(0n).text('').text(krl.comment)
    for (const entry of krl.certificates) {
      writer.byte(section.certificates).string(encode(body => writeCertificates(body, entry)))
    }
    writeStrings(writer, section.keys, krl.keys)
    writeStrings(writer, section.sha1, krl.digests('sha1'))
    writeStrings(writer, section.sha256, krl.digests('sha256'))
  })
}

/** The file's bytes with one more signature at the end. @throws KeyError | AgentError */
export async function signKrl(file: Buffer, signer: Signer): Promise<Buffer> {
  const signed = encode(writer => writer.bytes(file).byte(section.signature).string(signer.publicKey.blob))
  const [algorithm] = signingAlgorithms(signer.publicKey)
  if (!algorithm) throw new KeyError('unsupported', 'key cannot sign a KRL')
  const signature = await signer.sign(signed, algorithm)
  return encode(writer => writer.bytes(signed).string(signature))
}

function writeStrings(writer: Writer, type: number, values: readonly Buffer[]): void {
  if (values.length === 0) return
  writer.byte(type).string(
    encode(body => {
      for (const value of values) body.string(value)
    }),
  )
}

function writeCertificates(writer: Writer, { authority, serials, keyIds }: RevokedCertificates): void {
  writer.string(authority?.blob ?? Buffer.alloc(0)).string(Buffer.alloc(0))
  const list = new Writer()
  let near: SerialRange[] = []
  for (const range of serials.ranges()) {
    if (near.length > 0 && !fitsBitmap(near, range)) {
      writeSerials(writer, list, near)
      near = []
    }
    near.push(range)
  }
  if (near.length > 0) writeSerials(writer, list, near)
  if (list.length > 0) writer.byte(subsection.list).string(list.view())
  const names = [...keyIds].map(keyIdBytes).sort(Buffer.compare)
  writeStrings(writer, subsection.keyIds, names)
}

/** Bytes of a range with the type and length before it, and of what a bitmap has around its bits. */
const rangeCost = 21n
const bitmapCost = 18n

const listCost = ({ first, last }: SerialRange): bigint => 8n * (last - first + 1n)
const isListed = (range: SerialRange): boolean => listCost(range) < rangeCost
/** What a range costs in bytes when it stands for itself. */
const costAlone = (range: SerialRange): bigint => (isListed(range) ? listCost(range) : rangeCost)

/** Whether the next range, with the gap before it, is cheaper as bits of the same bitmap than by itself. */
function fitsBitmap(near: readonly SerialRange[], range: SerialRange): boolean {
  const start = near[0]!.first
  const end = near.at(-1)!.last
  return (range.last - end) / 8n < costAlone(range) && range.last - start < writtenBitmapLimit
}

/** Ranges that lie near one another: as a bitmap, or where that is shorter as ranges and entries of the list. */
function writeSerials(writer: Writer, list: Writer, near: readonly SerialRange[]): void {
  const { first } = near[0]!
  const bits = near.at(-1)!.last - first + 1n
  const alone = near.reduce((sum, range) => sum + costAlone(range), 0n)
  if (bits <= writtenBitmapLimit && bits / 8n + bitmapCost < alone) {
    const bytes = Buffer.alloc(Number((bits + 7n) / 8n))
    for (const range of near) {
      for (let n = Number(range.first - first); n <= Number(range.last - first); n++) {
        bytes[bytes.length - 1 - (n >> 3)]! |= 1 << (n & 7)
      }
    }
    writer.byte(subsection.bitmap).string(encode(body => body.uint64(first).mpint(bytes)))
    return
  }
  for (const range of near) {
    if (isListed(range)) for (let n = range.first; n <= range.last; n++) list.uint64(n)
    else writer.byte(subsection.range).string(encode(body => body.uint64(range.first).uint64(range.last)))
  }
}
