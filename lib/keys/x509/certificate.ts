import { publicNumbersOfSpki } from '../../crypto/x509.ts'
import { KeyError } from '../../errors.ts'
import { DerReader, derContext, derTag } from '../../wire/der.ts'
import { ownCopy } from '../../wire/own-copy.ts'
import { type PublicKey, reading } from '../public-key.ts'
import { publicKeyOfNumbers } from '../public-numbers.ts'
import { type DistinguishedName, readName } from './name.ts'
import { oidText } from './oid.ts'

/** What an X.509 certificate (RFC 5280 §4) says. Nothing of it is judged yet, its signature neither. */
export interface X509Certificate {
  readonly der: Buffer
  readonly publicKey: PublicKey
  readonly subject: DistinguishedName
  readonly issuer: DistinguishedName
  readonly serial: bigint
  /** Seconds since 1970; valid from this second to that one, both included. */
  readonly validFrom: bigint
  readonly validUntil: bigint
  /** The algorithm under which the issuer signed, in dotted numbers. */
  readonly signatureAlgorithm: string
  /** Of an authority: how many others may stand between it and the last certificate; undefined for any number. */
  readonly authority: { readonly pathLength: number | undefined } | undefined
  /** What the key may be used for; undefined where nothing is said about it. */
  readonly keyUsage: { readonly digitalSignature: boolean; readonly certificateSigning: boolean } | undefined
  /** extKeyUsage in dotted numbers; undefined where nothing is said about it. */
  readonly purposes: readonly string[] | undefined
  /** Names of users (e-mail addresses) and of hosts (DNS names and addresses); common names where there are no others. */
  readonly userNames: readonly string[]
  readonly hostNames: readonly string[]
  /** Critical extensions that are not known here, in dotted numbers: the certificate is good for nothing. */
  readonly unknownCritical: readonly string[]
}

/** Longest certificate that is looked at, in bytes. */
export const x509Limit = 64 * 1024

const extension = {
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  certificatePolicies: '2.5.29.32',
  extendedKeyUsage: '2.5.29.37',
} as const

/** Reads one certificate (DER). @throws KeyError `malformed`, `unsupported`, `too-weak` */
export function parseX509Certificate(input: Buffer): X509Certificate {
  return reading('X.509 certificate', () => {
    if (input.length > x509Limit) throw new KeyError('malformed', 'X.509 certificate is too long')
    // A copy: what is read keeps views of it.
    const der = ownCopy(input)
    const outer = new DerReader(der)
    const certificate = outer.sequence()
    outer.finish()
    const body = certificate.sequence()
    const signatureAlgorithm = oidText(certificate.sequence().take(derTag.oid))
    certificate.take(derTag.bitString)
    certificate.finish()

    body.optional(derContext(0, 'explicit'))
    const serial = BigInt(`0x0${body.take(derTag.integer).toString('hex')}`)
    if (oidText(body.sequence().take(derTag.oid)) !== signatureAlgorithm)
      throw new KeyError('malformed', 'X.509 certificate names two signature algorithms')
    const issuer = readName(body)
    const validity = body.sequence()
    const [validFrom, validUntil] = [readTime(validity), readTime(validity)]
    const subject = readName(body)
    const publicKey = readPublicKey(body.whole())
    // Unique identifiers, which nobody uses.
    body.optional(derContext(1, 'implicit'))
    body.optional(derContext(2, 'implicit'))
    const extensions = readExtensions(body)
    body.finish()
    return {
      der,
      publicKey,
      subject,
      issuer,
      serial,
      validFrom,
      validUntil,
      signatureAlgorithm,
      ...interpret(extensions, subject),
    }
  })
}

function readPublicKey(spki: Buffer): PublicKey {
  const numbers = publicNumbersOfSpki(spki)
  if (!numbers) throw new KeyError('unsupported', 'X.509 certificate is for a kind of key that SSH does not have')
  return publicKeyOfNumbers(numbers)
}

/** UTCTime or GeneralizedTime, in the one form of each that certificates may have (RFC 5280 §4.1.2.5). */
function readTime(reader: DerReader): bigint {
  const { tag, body } = reader.any()
  const text = body.toString('latin1')
  const [, digits] = (tag === derTag.utcTime ? /^(\d{12})Z$/ : /^(\d{14})Z$/).exec(text) ?? []
  if (digits === undefined || (tag !== derTag.utcTime && tag !== derTag.generalizedTime))
    throw new KeyError('malformed', 'X.509 certificate has a bad time')
  const full = tag === derTag.utcTime ? `${Number(digits.slice(0, 2)) < 50 ? '20' : '19'}${digits}` : digits
  const iso = full.replace(/^(....)(..)(..)(..)(..)(..)$/, '$1-$2-$3T$4:$5:$6Z')
  const milliseconds = Date.parse(iso)
  if (Number.isNaN(milliseconds)) throw new KeyError('malformed', 'X.509 certificate has a bad time')
  return BigInt(milliseconds / 1000)
}

interface Extension {
  readonly critical: boolean
  readonly value: Buffer
}

function readExtensions(body: DerReader): ReadonlyMap<string, Extension> {
  const extensions = new Map<string, Extension>()
  const wrapped = body.optional(derContext(3, 'explicit'))
  if (!wrapped) return extensions
  const list = new DerReader(wrapped).sequence()
  while (list.remaining > 0) {
    const one = list.sequence()
    const name = oidText(one.take(derTag.oid))
    const critical = (one.optional(derTag.boolean)?.[0] ?? 0) !== 0
    if (extensions.has(name)) throw new KeyError('malformed', 'X.509 certificate has an extension twice')
    extensions.set(name, { critical, value: one.take(derTag.octetString) })
    one.finish()
  }
  return extensions
}

function interpret(extensions: ReadonlyMap<string, Extension>, subject: DistinguishedName) {
  const read = <T>(name: string, parse: (reader: DerReader) => T): T | undefined => {
    const found = extensions.get(name)
    return found && parse(new DerReader(found.value))
  }
  const alternatives = read(extension.subjectAltName, readAlternativeNames)
  const known: readonly string[] = Object.values(extension)
  return {
    authority: read(extension.basicConstraints, readBasicConstraints),
    keyUsage: read(extension.keyUsage, readKeyUsage),
    purposes: read(extension.extendedKeyUsage, readPurposes),
    userNames: alternatives?.users ?? subject.commonNames,
    hostNames: alternatives?.hosts ?? subject.commonNames,
    // Of constraints on names it is said that they are critical; nobody may pass over them.
    unknownCritical: [...extensions]
      .filter(([name, { critical }]) => name === extension.nameConstraints || (critical && !known.includes(name)))
      .map(([name]) => name),
  }
}

function readBasicConstraints(reader: DerReader): X509Certificate['authority'] {
  const sequence = reader.sequence()
  const isAuthority = (sequence.optional(derTag.boolean)?.[0] ?? 0) !== 0
  const length = sequence.remaining > 0 ? Number(`0x0${sequence.integer().toString('hex')}`) : undefined
  return isAuthority ? { pathLength: length } : undefined
}

function readKeyUsage(reader: DerReader): X509Certificate['keyUsage'] {
  // The first byte says how many bits of the last one are none.
  const bits = reader.take(derTag.bitString)[1] ?? 0
  return { digitalSignature: (bits & 0x80) !== 0, certificateSigning: (bits & 0x04) !== 0 }
}

function readPurposes(reader: DerReader): string[] {
  const purposes: string[] = []
  const sequence = reader.sequence()
  while (sequence.remaining > 0) purposes.push(oidText(sequence.take(derTag.oid)))
  return purposes
}

/** Kinds of a GeneralName (RFC 5280 §4.2.1.6) that name users and hosts here. */
const generalName = {
  email: derContext(1, 'implicit'),
  dns: derContext(2, 'implicit'),
  address: derContext(7, 'implicit'),
} as const

function readAlternativeNames(reader: DerReader): { users: string[]; hosts: string[] } {
  const names = { users: [] as string[], hosts: [] as string[] }
  const sequence = reader.sequence()
  while (sequence.remaining > 0) {
    const { tag, body } = sequence.any()
    const text = body.toString('latin1')
    if (tag === generalName.address) names.hosts.push(addressText(body))
    else if (text.includes('\0')) throw new KeyError('malformed', 'certificate has a NUL in a name')
    else if (tag === generalName.email) names.users.push(text)
    else if (tag === generalName.dns) names.hosts.push(text)
  }
  return names
}

/** As `canonicalHost` writes addresses. */
function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== 16) throw new KeyError('malformed', 'certificate has an address of a wrong length')
  return canonicalHost((bytes.toString('hex').match(/..../g) ?? []).join(':'))
}

/** A host name in lower case; an IPv6 address in its one shortest form. */
export function canonicalHost(host: string): string {
  if (!host.includes(':')) return host.toLowerCase()
  try {
    return new URL(`ssh://[${host}]`).hostname.slice(1, -1)
  } catch {
    return host.toLowerCase()
  }
}
