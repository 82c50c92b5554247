import { equalBytes } from '../crypto/constant-time.ts'
import { KeyError } from '../errors.ts'
import { isCertificateAlgorithm, keyTypeOf } from '../keys/algorithms.ts'
import { type Certificate, parseKeyOrCertificate } from '../keys/certificate.ts'
import { checkCertificate } from '../keys/certificate-check.ts'
import { type PublicKey, parsePublicKey, reading } from '../keys/public-key.ts'
import { matchWildcards } from '../keys/wildcards.ts'
import { Reader } from '../wire/reader.ts'
import { encode, type Writer } from '../wire/writer.ts'

/** Where a key may be used: restrict-destination-v00@openssh.com and session-bind@openssh.com (PROTOCOL.agent). */

/** A host key, or an authority for host certificates. */
export interface HostKeySpec {
  readonly key: PublicKey
  readonly isAuthority: boolean
}

export interface DestinationHop {
  /** A pattern; empty for any user. */
  readonly user: string
  /** Empty, together with no keys, for the machine that the agent runs on. */
  readonly host: string
  readonly keys: readonly HostKeySpec[]
}

/** A step that the key may be used for: from one host, or the agent's own, to another. */
export interface DestinationConstraint {
  readonly from: DestinationHop
  readonly to: DestinationHop
}

export const originHop: DestinationHop = { user: '', host: '', keys: [] }

/** Most steps of one key, and characters of a pattern of users (OpenSSH's bounds). */
const stepLimit = 1024
const userLimit = 256

/** Reads the body of the constraint. @throws KeyError | ProtocolError */
export function readDestinations(reader: Reader): DestinationConstraint[] {
  const steps: DestinationConstraint[] = []
  while (reader.remaining > 0) {
    if (steps.length >= stepLimit) throw new KeyError('not-valid', 'too many destination constraints')
    const step = new Reader(reader.string())
    const from = readHop(new Reader(step.string()))
    const to = readHop(new Reader(step.string()))
    expectEmpty(step.string())
    if (from.user !== '' || (from.host === '') !== (from.keys.length === 0))
      throw new KeyError('not-valid', 'inconsistent "from" specification')
    if (to.host === '' || to.keys.length === 0) throw new KeyError('not-valid', 'incomplete "to" specification')
    steps.push({ from, to })
  }
  return steps
}

function readHop(reader: Reader): DestinationHop {
  const [user, host] = [plainText(reader), plainText(reader)]
  expectEmpty(reader.string())
  if (user.length > userLimit) throw new KeyError('not-valid', 'user match pattern too long')
  const keys: HostKeySpec[] = []
  while (reader.remaining > 0) keys.push({ key: parsePublicKey(reader.string()), isAuthority: reader.boolean() })
  return { user, host, keys }
}

function plainText(reader: Reader): string {
  const text = reader.text()
  if (text.includes('\0')) throw new KeyError('malformed', 'destination constraint holds a NUL')
  return text
}

/** Room for what is not known yet: it may restrict, so it may not be passed over. */
function expectEmpty(extension: Buffer): void {
  if (extension.length > 0) throw new KeyError('unsupported', 'destination constraint with an unknown extension')
}

export function writeDestinations(writer: Writer, steps: readonly DestinationConstraint[]): void {
  for (const { from, to } of steps) {
    writer.string(
      encode(step => {
        step.string(encode(hop => writeHop(hop, from))).string(encode(hop => writeHop(hop, to)))
        step.text('')
      }),
    )
  }
}

function writeHop(writer: Writer, { user, host, keys }: DestinationHop): void {
  writer.text(user).text(host).text('')
  for (const { key, isAuthority } of keys) writer.string(key.blob).boolean(isAuthority)
}

/** A host that an agent connection was bound to. */
interface Binding {
  readonly key: PublicKey
  readonly certificate: Certificate | undefined
  readonly sessionId: Buffer
  /** Bound to forward the agent to that host, rather than to log in there. */
  readonly forwarding: boolean
}

/** What the host showed of itself. */
const shownBlob = ({ key, certificate }: Binding): Buffer => certificate?.blob ?? key.blob

/** Most hosts on the way, and bytes of a session identifier (OpenSSH's bounds). */
const bindingLimit = 16
const sessionIdLimit = 128

/** The hosts that a connection to the agent came through, as `session-bind@openssh.com` told, with proof. */
export class SessionBindings {
  readonly #bound: Binding[] = []
  #attempted = false

  /** Whether the connection said that it serves another host: it need not be the user's own machine that asks. */
  get isRemote(): boolean {
    return this.#attempted
  }

  /** Reads the request after its name and records the binding. @throws KeyError | ProtocolError when it is no proof */
  bind(reader: Reader): void {
    this.#attempted = true
    const { key, certificate } = parseKeyOrCertificate(reader.string())
    const sessionId = Buffer.from(reader.string())
    const signature = reader.string()
    const forwarding = reader.boolean()
    if (sessionId.length > sessionIdLimit) throw new KeyError('not-valid', 'session ID too long')
    if (!key.verify(sessionId, signature)) throw new KeyError('bad-signature', 'host key signature does not verify')
    for (const bound of this.#bound) {
      if (!bound.forwarding) throw new KeyError('not-valid', 'connection was bound for authentication before')
      if (!equalBytes(bound.sessionId, sessionId)) continue
      if (shownBlob(bound).equals(certificate?.blob ?? key.blob)) return
      throw new KeyError('mismatch', 'session ID recorded against a different key')
    }
    if (this.#bound.length >= bindingLimit) throw new KeyError('not-valid', 'too many session IDs recorded')
    this.#bound.push({ key, certificate, sessionId, forwarding })
  }

  /** Whether a key with these constraints is there at all for this connection: to be listed, replaced or removed. */
  mayShow(steps: readonly DestinationConstraint[], now: bigint): boolean {
    return this.#permits(steps, undefined, now)
  }

  /**
   * Whether a key may sign `data`, which must then be a request to log in where the connection was last bound to.
   * @returns the user who logs in; undefined for no
   */
  maySign(steps: readonly DestinationConstraint[], blob: Buffer, data: Buffer, now: bigint): string | undefined {
    const last = this.#bound.at(-1)
    if (!last) return undefined
    const request = readUserauthRequest(blob, data)
    if (!request || !this.#permits(steps, request.user, now)) return undefined
    if (!equalBytes(request.sessionId, last.sessionId)) return undefined
    // Beyond the first host, a request must name the host that it is for: the host in between could have made it up.
    if (!request.hostKey) return this.#bound.length > 1 ? undefined : request.user
    return request.hostKey.equals(shownBlob(last)) ? request.user : undefined
  }

  /** Each hop must be permitted. `user` is known at the last one only, and only when there is something to sign. */
  #permits(steps: readonly DestinationConstraint[], user: string | undefined, now: bigint): boolean {
    if (steps.length === 0) return true
    const last = this.#bound.at(-1)
    // Unbound: a client on the agent's own machine. But a binding that failed is no reason for trust.
    if (!last) return !this.#attempted
    let from: Binding | undefined
    for (const bound of this.#bound) {
      if (bound === last ? bound.forwarding && user !== undefined : !bound.forwarding) return false
      if (!permitted(steps, from, bound, bound === last ? user : undefined, now)) return false
      from = bound
    }
    // A key that may log in to a host, and not go further from it, is not shown to that host.
    return !last.forwarding || permitted(steps, last, undefined, undefined, now)
  }
}

const permitted = (
  steps: readonly DestinationConstraint[],
  from: Binding | undefined,
  to: Binding | undefined,
  user: string | undefined,
  now: bigint,
): boolean =>
  steps.some(
    step =>
      (from ? matchesHop(from, step.from, now) : step.from.host === '' && step.from.keys.length === 0) &&
      (!to || matchesHop(to, step.to, now)) &&
      (user === undefined || step.to.user === '' || matchWildcards(user, step.to.user)),
  )

const matchesHop = ({ key, certificate }: Binding, hop: DestinationHop, now: bigint): boolean =>
  hop.keys.some(spec => {
    if (!certificate) return !spec.isAuthority && spec.key.equals(key)
    return spec.isAuthority && spec.key.equals(certificate.signatureKey) && isGoodFor(certificate, hop.host, now)
  })

function isGoodFor(certificate: Certificate, host: string, now: bigint): boolean {
  try {
    checkCertificate(certificate, { kind: 'host', principal: host, now })
    return true
  } catch (error) {
    if (error instanceof KeyError) return false
    throw error
  }
}

interface UserauthRequest {
  readonly sessionId: Buffer
  readonly user: string
  /** The host key that a host-bound request names. */
  readonly hostKey: Buffer | undefined
}

const userauthRequestNumber = 50

/** What is signed to log in (RFC 4252 §7, and publickey-hostbound-v00@openssh.com), with this very key. */
function readUserauthRequest(blob: Buffer, data: Buffer): UserauthRequest | undefined {
  try {
    return reading('request', () => {
      const reader = new Reader(data)
      const sessionId = reader.string()
      const number = reader.byte()
      const [user, service, method] = [plainText(reader), plainText(reader), plainText(reader)]
      const signed = reader.byte()
      const algorithm = plainText(reader)
      const key = reader.string()
      const hostKey = method === 'publickey-hostbound-v00@openssh.com' ? reader.string() : undefined
      reader.finish()
      const isRequest =
        sessionId.length > 0 && number === userauthRequestNumber && service === 'ssh-connection' && signed === 1
      const isKey = key.equals(blob) && isAlgorithmOf(algorithm, blob)
      const isMethod = method === 'publickey' || hostKey !== undefined
      return isRequest && isKey && isMethod ? { sessionId, user, hostKey } : undefined
    })
  } catch (error) {
    if (error instanceof KeyError) return undefined
    throw error
  }
}

function isAlgorithmOf(algorithm: string, blob: Buffer): boolean {
  const type = new Reader(blob).text()
  if (isCertificateAlgorithm(algorithm) !== isCertificateAlgorithm(type)) return false
  return keyTypeOf(algorithm) === (isCertificateAlgorithm(type) ? keyTypeOf(type) : type)
}
