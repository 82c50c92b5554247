import { randomBytes } from '../crypto/random.ts'
import { KeyError } from '../errors.ts'
import { Reader } from '../wire/reader.ts'
import { encode, type Writer } from '../wire/writer.ts'
import { certificateAlgorithmOf, isCertificateAlgorithm } from './algorithms.ts'
import { type Certificate, certificateKinds, forever, parseCertificate } from './certificate.ts'
import type { PublicKey } from './public-key.ts'
import type { Signer } from './signer.ts'

/** What goes into a new certificate. */
export interface CertificateRequest {
  readonly publicKey: PublicKey
  readonly kind: 'user' | 'host'
  readonly keyId: string
  readonly principals: readonly string[]
  readonly serial?: bigint
  /** Seconds since 1970. Default: always valid. */
  readonly validAfter?: bigint
  readonly validBefore?: bigint
  readonly criticalOptions?: ReadonlyMap<string, Buffer>
  readonly extensions?: ReadonlyMap<string, Buffer>
}

/** Data of an option that is there or not. */
export const flagOption: Buffer = Buffer.alloc(0)
/** Data of an option with a text: `force-command`, `source-address`. */
export const textOption = (value: string): Buffer => encode(writer => writer.text(value))

/** The permissions that ssh-keygen gives a user certificate unless told otherwise. */
export const defaultUserExtensions: ReadonlyMap<string, Buffer> = new Map(
  ['permit-X11-forwarding', 'permit-agent-forwarding', 'permit-port-forwarding', 'permit-pty', 'permit-user-rc'].map(
    name => [name, flagOption],
  ),
)

const nonceLength = 32

/**
 * Has an authority sign a certificate (PROTOCOL.certkeys).
 * @param algorithm under which it signs; default its best
 * @throws KeyError | AgentError
 */
export async function issueCertificate(
  request: CertificateRequest,
  authority: Signer,
  algorithm = authority.algorithms.find(name => !isCertificateAlgorithm(name)),
): Promise<Certificate> {
  const { publicKey, validAfter = 0n, validBefore = forever } = request
  if (validAfter >= validBefore) throw new KeyError('not-valid', 'certificate would never be valid')
  if (!algorithm) throw new KeyError('unsupported', 'a certificate cannot sign certificates')
  const keyReader = new Reader(publicKey.blob)
  keyReader.string()
  const body = encode(writer => {
    writer.text(certificateAlgorithmOf(publicKey.type)).string(randomBytes(nonceLength)).bytes(keyReader.rest())
    writer
      .uint64(request.serial ?? 0n)
      .uint32(certificateKinds[request.kind])
      .text(request.keyId)
    writer.string(
      encode(list => {
        for (const principal of request.principals) list.text(principal)
      }),
    )
    writer.uint64(validAfter).uint64(validBefore)
    writer.string(encode(list => writeOptions(list, request.criticalOptions)))
    writer.string(encode(list => writeOptions(list, request.extensions)))
    writer.string(Buffer.alloc(0)).string(authority.publicKey.blob)
  })
  const signature = await authority.sign(body, algorithm)
  return parseCertificate(encode(writer => writer.bytes(body).string(signature)))
}

/** Options stand in the order of their names, each once. */
function writeOptions(writer: Writer, options: ReadonlyMap<string, Buffer> = new Map()): void {
  const entries = [...options].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  for (const [name, data] of entries) writer.text(name).string(data)
}
