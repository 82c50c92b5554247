import { KeyError, sanitize } from '../errors.ts'
import { Reader } from '../wire/reader.ts'
import { encode, type Writer } from '../wire/writer.ts'
import { type DestinationConstraint, readDestinations, writeDestinations } from './destinations.ts'
import { constraintType, extensionName } from './messages.ts'

/** What a key in an agent is bound to. */
export interface KeyConstraints {
  /** Seconds after which the agent forgets the key. */
  readonly lifetime?: number
  /** Whether the user is asked about each signature. */
  readonly confirm?: boolean
  /** Where the key may be used; none for everywhere. */
  readonly destinations?: readonly DestinationConstraint[]
  /** Library that drives a security key, or `internal`. */
  readonly securityKeyProvider?: string
}

/** Certificates to be laid over the keys of a token. */
export interface TokenConstraints extends KeyConstraints {
  readonly certificates?: readonly Buffer[]
  /** Whether the plain keys are left out. */
  readonly certificatesOnly?: boolean
}

/** Most certificates that one request may bring (OpenSSH's bound). */
const certificateLimit = 1024

/**
 * Reads constraints up to the end. Each may come once, and one that is not known is refused: a key must not be held with
 * less than was asked for.
 * @throws KeyError | ProtocolError
 */
export function readConstraints(reader: Reader, subject: 'key' | 'token'): TokenConstraints {
  const constraints: { -readonly [K in keyof TokenConstraints]: TokenConstraints[K] } = {}
  const once = (name: keyof TokenConstraints): void => {
    if (constraints[name] !== undefined) throw new KeyError('not-valid', `${name} already set`)
  }
  while (reader.remaining > 0) {
    const type = reader.byte()
    if (type === constraintType.lifetime) {
      once('lifetime')
      constraints.lifetime = reader.uint32()
    } else if (type === constraintType.confirm) {
      once('confirm')
      constraints.confirm = true
    } else if (type === constraintType.extension) {
      const name = reader.text()
      if (name === extensionName.restrictDestination) {
        once('destinations')
        constraints.destinations = readDestinations(new Reader(reader.string()))
      } else if (name === extensionName.securityKeyProvider && subject === 'key') {
        once('securityKeyProvider')
        constraints.securityKeyProvider = reader.text()
      } else if (name === extensionName.associatedCertificates && subject === 'token') {
        once('certificates')
        constraints.certificatesOnly = reader.boolean()
        constraints.certificates = readCertificates(new Reader(reader.string()))
      } else {
        throw new KeyError('unsupported', `unsupported constraint "${sanitize(name, true)}"`)
      }
    } else {
      throw new KeyError('unsupported', `Unknown constraint ${type}`)
    }
  }
  return constraints
}

function readCertificates(reader: Reader): Buffer[] {
  const blobs: Buffer[] = []
  while (reader.remaining > 0) {
    if (blobs.length >= certificateLimit) throw new KeyError('not-valid', 'too many associated certificates')
    blobs.push(reader.string())
  }
  return blobs
}

export function writeConstraints(writer: Writer, constraints: TokenConstraints): void {
  const { lifetime, confirm, destinations, securityKeyProvider, certificates } = constraints
  const extension = (name: string): Writer => writer.byte(constraintType.extension).text(name)
  if (lifetime) writer.byte(constraintType.lifetime).uint32(lifetime)
  if (confirm) writer.byte(constraintType.confirm)
  if (securityKeyProvider !== undefined) extension(extensionName.securityKeyProvider).text(securityKeyProvider)
  if (destinations?.length) {
    extension(extensionName.restrictDestination).string(encode(body => writeDestinations(body, destinations)))
  }
  if (certificates?.length) {
    extension(extensionName.associatedCertificates)
      .boolean(constraints.certificatesOnly ?? false)
      .string(
        encode(body => {
          for (const blob of certificates) body.string(blob)
        }),
      )
  }
}

/** Whether anything is constrained, which takes another request. */
export const isConstrained = (constraints: TokenConstraints): boolean =>
  encode(w => writeConstraints(w, constraints)).length > 0
