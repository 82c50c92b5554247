import { KeyError } from '../../errors.ts'
import { DerReader, derTag } from '../../wire/der.ts'
import { oidText } from './oid.ts'

/** A distinguished name (RFC 5280 §4.1.2.4) as SSH's files write it: `O=Example,OU=Hosts,CN=one`, in the order of the DER. */
export interface DistinguishedName {
  /** Its relative names, each as text, values joined by `+` in the order of the alphabet. */
  readonly parts: readonly string[]
  readonly commonNames: readonly string[]
}

/** Attribute types with a short name; others are written as dotted numbers. */
const attributes = new Map([
  ['2.5.4.3', 'CN'],
  ['2.5.4.6', 'C'],
  ['2.5.4.7', 'L'],
  ['2.5.4.8', 'ST'],
  ['2.5.4.10', 'O'],
  ['2.5.4.11', 'OU'],
  ['0.9.2342.19200300.100.1.25', 'DC'],
])

/** Encodings of the string types there are (X.680 §8.4). */
const encodings = new Map<number, (bytes: Buffer) => string>([
  [0x0c, bytes => bytes.toString('utf8')],
  [0x13, bytes => bytes.toString('latin1')],
  [0x14, bytes => bytes.toString('latin1')],
  [0x16, bytes => bytes.toString('latin1')],
  [0x1e, bytes => Buffer.from(bytes).swap16().toString('utf16le')],
])

/** Reads a Name. @throws KeyError `malformed`; ProtocolError from DER */
export function readName(reader: DerReader): DistinguishedName {
  const parts: string[] = []
  const commonNames: string[] = []
  const sequence = reader.sequence()
  while (sequence.remaining > 0) {
    const set = new DerReader(sequence.take(derTag.set))
    const values: string[] = []
    while (set.remaining > 0) {
      const attribute = set.sequence()
      const type = oidText(attribute.take(derTag.oid))
      const { tag, body } = attribute.any()
      const value = encodings.get(tag)?.(body) ?? `#${body.toString('hex')}`
      // A name that is cut off by whoever reads it as a C string is another one there.
      if (value.includes('\0')) throw new KeyError('malformed', 'certificate has a NUL in a name')
      const name = attributes.get(type) ?? type
      if (name === 'CN') commonNames.push(value)
      values.push(`${name}=${escaped(value)}`)
    }
    parts.push(values.sort().join('+'))
  }
  return { parts, commonNames }
}

const escaped = (value: string): string => value.replace(/[,+\\]/g, '\\$&')

export const formatName = ({ parts }: DistinguishedName): string => parts.join(',')

/** A pattern of names: `O=Example,CN=one`, or with `,*` at the end all names that begin so. */
export type NamePattern = (name: DistinguishedName) => boolean

/** @throws KeyError `malformed` */
export function parseNamePattern(text: string): NamePattern {
  const open = text.endsWith(',*')
  const parts = splitUnescaped(open ? text.slice(0, -2) : text, ',').map(normalizePart)
  if (parts.length === 0) throw new KeyError('malformed', 'empty distinguished name')
  return ({ parts: actual }) =>
    (open ? actual.length >= parts.length : actual.length === parts.length) &&
    parts.every((part, index) => part === actual[index])
}

function normalizePart(part: string): string {
  const values = splitUnescaped(part, '+').map(value => {
    const [, type, content] = /^\s*([A-Za-z]+|\d+(?:\.\d+)+)\s*=(.*)$/s.exec(value) ?? []
    if (type === undefined || content === undefined)
      throw new KeyError('malformed', `not a part of a distinguished name: ${value}`)
    const name = attributes.get(type) ?? type
    if (!/\d/.test(name) && ![...attributes.values()].includes(name))
      throw new KeyError('malformed', `unknown attribute of a distinguished name: ${type}`)
    return `${name}=${escaped(content.replace(/\\([,+\\])/g, '$1'))}`
  })
  return values.sort().join('+')
}

/** Parts between separators that no backslash stands before. */
const splitUnescaped = (text: string, separator: string): string[] =>
  text.match(new RegExp(`(?:\\\\.|[^\\\\${separator}])+`, 'gs')) ?? []
