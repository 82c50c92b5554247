import { x509AlgorithmsOf } from '../../lib/keys/algorithms.ts'
import type { Certificate } from '../../lib/keys/certificate.ts'
import { type FingerprintHash, fingerprint } from '../../lib/keys/fingerprint.ts'
import type { PublicKey } from '../../lib/keys/public-key.ts'
import { certificateAlgorithms, type Signer, signingAlgorithms } from '../../lib/keys/signer.ts'
import type { X509Certificate } from '../../lib/keys/x509/certificate.ts'
import type { Log } from '../../lib/log.ts'

/** What a file can give: a key, or a certificate that the private half of `publicKey` has to sign for. */
export interface Candidate {
  /** The private key's, also for a certificate that was found beside it. */
  readonly file: string
  /** Whether the user named it, as opposed to the usual places. */
  readonly isExplicit: boolean
  /** Known without a passphrase, if it is. */
  readonly publicKey: PublicKey | undefined
  readonly certificate?: Certificate
  /** X.509 certificates, the key's own first. */
  readonly x509?: readonly X509Certificate[]
  /** Undefined when the private half is elsewhere. */
  signer(): Promise<Signer | undefined>
}

/** A key in its place among those to try: one of a file, of the agent, or of both. */
export interface PlannedIdentity {
  readonly candidate?: Candidate
  /** The agent's. */
  readonly held?: Signer
  /** The file, or the agent's comment. */
  readonly name: string
  /** How it came here, in ssh's words. */
  readonly origin: string
}

export interface OrderOptions {
  readonly identitiesOnly: boolean
  /** Algorithms that may be used (PubkeyAcceptedAlgorithms); undefined for all. */
  readonly acceptedAlgorithms: readonly string[] | undefined
  readonly log: Log
}

/**
 * The keys to try, in ssh's order: certificates that were named, the agent's keys that a file names, the agent's others
 * (unless IdentitiesOnly), then files alone. Among those that nobody named, certificates go first.
 */
export function orderIdentities(
  own: readonly Candidate[],
  certificates: readonly Candidate[],
  agentSigners: readonly Signer[],
  { identitiesOnly, acceptedAlgorithms, log }: OrderOptions,
): PlannedIdentity[] {
  const named = certificates.map(candidate =>
    plan(
      candidate,
      agentSigners.find(signer => isSame(signer, candidate)),
    ),
  )
  const fromAgent = agentSigners
    // What was named as a certificate has its place already.
    .filter(signer => !certificates.some(candidate => isSame(signer, candidate)))
    .map(signer =>
      plan(
        own.find(candidate => isSame(signer, candidate)),
        signer,
      ),
    )
  const alone = own.filter(candidate => !agentSigners.some(signer => isSame(signer, candidate)))
  const parts = [
    named,
    [
      ...fromAgent.filter(({ candidate }) => candidate),
      ...(identitiesOnly ? [] : fromAgent.filter(({ candidate }) => !candidate)),
    ],
    alone.map(candidate => plan(candidate)),
  ]
  return parts.flatMap(byPriority).filter(identity => {
    const { publicKey } = keyOf(identity)
    if (!publicKey || !acceptedAlgorithms) return true
    const algorithms = algorithmsOf(publicKey, identity)
    if (algorithms.some(name => acceptedAlgorithms.includes(name))) return true
    log.debug1?.(
      `Skipping ${algorithms.at(-1)} key ${identity.name} - corresponding algorithm not in PubkeyAcceptedAlgorithms`,
    )
    return false
  })
}

function algorithmsOf(publicKey: PublicKey, identity: PlannedIdentity): readonly string[] {
  const { certificate, x509 } = keyOf(identity)
  if (x509) return x509AlgorithmsOf(publicKey.type)
  return certificate ? certificateAlgorithms(publicKey) : signingAlgorithms(publicKey)
}

/** `name TYPE fingerprint origin`, as ssh shows a key. */
export function describeIdentity(identity: PlannedIdentity, hash: FingerprintHash): string {
  const { publicKey, certificate, x509 } = keyOf(identity)
  const ending = certificate || x509 ? '-CERT' : ''
  const key = publicKey ? `${publicKey.label}${ending} ${fingerprint(publicKey.blob, hash)}` : ''
  return `${identity.name} ${key}${identity.origin && ` ${identity.origin}`}`
}

const keyOf = ({ candidate, held }: PlannedIdentity) => ({
  publicKey: held?.publicKey ?? candidate?.publicKey,
  certificate: held ? held.certificate : candidate?.certificate,
  x509: held ? undefined : candidate?.x509,
})

function plan(candidate: Candidate | undefined, held?: Signer): PlannedIdentity {
  const type = (held?.publicKey ?? candidate?.publicKey)?.type
  const origin = [
    candidate?.isExplicit && 'explicit',
    type?.startsWith('sk-') && 'authenticator',
    held && 'agent',
  ].filter(Boolean)
  return {
    ...(candidate && { candidate }),
    ...(held && { held }),
    name: candidate?.file ?? held?.comment ?? '',
    origin: origin.join(' '),
  }
}

function isSame(signer: Signer, { publicKey, certificate, x509 }: Candidate): boolean {
  // An agent has no X.509 certificates.
  if (x509) return false
  return certificate
    ? signer.certificate?.blob.equals(certificate.blob) === true
    : signer.certificate === undefined && publicKey?.equals(signer.publicKey) === true
}

/** Those that the user named keep their places; the others change theirs among each other. */
function byPriority(identities: readonly PlannedIdentity[]): PlannedIdentity[] {
  const isNamed = ({ candidate }: PlannedIdentity) => candidate?.isExplicit === true
  const sorted = identities.filter(identity => !isNamed(identity)).toSorted((a, b) => priorityOf(a) - priorityOf(b))
  return identities.map(identity => (isNamed(identity) ? identity : sorted.shift()!))
}

/** Lower goes first: what needs no touch of a security key, certificates, what needs a PIN too, plain keys. */
function priorityOf(identity: PlannedIdentity): number {
  const { publicKey, certificate, x509 } = keyOf(identity)
  if (x509) return 1
  if (!certificate) return 3
  if (publicKey?.type.startsWith('sk-')) {
    if (certificate.criticalOptions.has('verify-required')) return 2
    if (certificate.extensions.has('no-touch-required')) return 0
  }
  return 1
}
