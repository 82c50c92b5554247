import { hash } from '../../crypto/hash.ts'
import { edwardsVerifier, type Verifier } from '../../crypto/signature.ts'
import { KeyError } from '../../errors.ts'
import type { Reader } from '../../wire/reader.ts'
import { encode, type Writer } from '../../wire/writer.ts'
import { decodeEcdsaSignature, readPoint, verifierOf } from './ecdsa.ts'
import { readEdwardsPublic } from './edwards.ts'
import { type KeyFamily, ownMaterial, type SignatureAlgorithm, type SkPrivate, type VerifyOptions } from './family.ts'

/** Keys in FIDO security keys (OpenSSH's PROTOCOL.u2f). We check their signatures; making one takes the device. */

/** Flags of a signature: user present, user verified, attested data, extension data. */
const userPresent = 0x01
const userVerified = 0x04
const attestedData = 0x40
const extensionData = 0x80

const webauthnAlgorithm = 'webauthn-sk-ecdsa-sha2-nistp256@openssh.com'

/** What a security key says in its signature beside the signature itself. */
interface Assertion {
  readonly flags: number
  readonly counter: number
  /** Hash of what the key signed: of the data, or of a browser's JSON about it. */
  readonly messageHash: Buffer
  readonly extensions: Buffer
}

function readAssertion({ name }: SignatureAlgorithm, data: Buffer, body: Reader): Assertion | undefined {
  const [flags, counter] = [body.byte(), body.uint32()]
  if (name !== webauthnAlgorithm) {
    body.finish()
    return { flags, counter, messageHash: hash('sha256', data), extensions: Buffer.alloc(0) }
  }
  const [origin, clientData, extensions] = [body.string(), body.string(), body.string()]
  body.finish()
  if (origin.includes('"') || flags & attestedData || ((flags & extensionData) !== 0) !== extensions.length > 0)
    return undefined
  // The browser's JSON must begin like this; what follows the origin does not matter.
  const challenge = data.toString('base64url')
  const preamble = Buffer.concat([
    Buffer.from(`{"type":"webauthn.get","challenge":"${challenge}","origin":"`),
    origin,
    Buffer.from('"'),
  ])
  if (!clientData.subarray(0, preamble.length).equals(preamble)) return undefined
  return { flags, counter, messageHash: hash('sha256', clientData), extensions }
}

function assertionVerifier(application: Buffer, verify: Verifier, decode: (bytes: Buffer) => Buffer | undefined) {
  const applicationHash = hash('sha256', application)
  return (algorithm: SignatureAlgorithm, data: Buffer, body: Reader, options: VerifyOptions): boolean => {
    const signature = decode(body.string())
    const assertion = readAssertion(algorithm, data, body)
    if (!signature || !assertion) return false
    const { flags, counter, extensions, messageHash } = assertion
    if ((options.touchRequired ?? true) && !(flags & userPresent)) return false
    if (options.verificationRequired && !(flags & userVerified)) return false
    const signed = encode(writer =>
      writer.bytes(applicationHash).byte(flags).uint32(counter).bytes(extensions).bytes(messageHash),
    )
    return verify(algorithm.hash, signed, signature)
  }
}

function readApplication(reader: Reader): Buffer {
  const application = reader.string()
  if (application.includes(0)) throw new KeyError('malformed', 'application of a security key has a NUL')
  return application
}

/** Where the two kinds differ. */
interface Shape {
  readonly kind: SkPrivate['kind']
  readonly type: string
  readonly label: string
  readonly fileName: string
  readonly algorithms: readonly SignatureAlgorithm[]
  /** Whether the public value stands in the private form beside a certificate too. */
  readonly alwaysPublic: boolean
  readValue(reader: Reader): Buffer
  writeValue(writer: Writer, value: Buffer): void
  verifier(value: Buffer): Verifier
  decode(bytes: Buffer): Buffer | undefined
}

const row = (shape: Shape): KeyFamily => ({
  type: shape.type,
  label: shape.label,
  fileName: shape.fileName,
  algorithms: shape.algorithms,
  readPublic(reader) {
    const verifier = shape.verifier(shape.readValue(reader))
    const application = readApplication(reader)
    return {
      bits: 256,
      application: application.toString(),
      verify: assertionVerifier(application, verifier, bytes => shape.decode(bytes)),
    }
  },
  readPrivate(reader, publicFields) {
    const publicValue = Buffer.from(shape.readValue(shape.alwaysPublic ? reader : (publicFields ?? reader)))
    const application = readApplication(reader).toString()
    const flags = reader.byte()
    const [keyHandle, reserved] = [Buffer.from(reader.string()), Buffer.from(reader.string())]
    return { kind: shape.kind, publicValue, application, flags, keyHandle, reserved }
  },
  writePrivate(writer, numbers, certified = false) {
    const { publicValue, application, flags, keyHandle, reserved } = ownSk(numbers, shape.kind)
    if (!certified || shape.alwaysPublic) shape.writeValue(writer, publicValue)
    writer.text(application).byte(flags).string(keyHandle).string(reserved)
  },
  writePublic(writer, numbers) {
    const { publicValue, application } = ownSk(numbers, shape.kind)
    shape.writeValue(writer, publicValue)
    writer.text(application)
  },
  signer() {
    throw new KeyError('unsupported', 'a security key signs in its device only')
  },
  encodeSignature: signature => signature,
  owns: numbers => numbers.kind === shape.kind,
})

const ownSk = (numbers: Parameters<KeyFamily['writePublic']>[1], kind: SkPrivate['kind']): SkPrivate =>
  kind === 'sk-ed25519' ? ownMaterial(numbers, 'sk-ed25519') : ownMaterial(numbers, 'sk-ecdsa')

export const skEd25519 = row({
  kind: 'sk-ed25519',
  type: 'sk-ssh-ed25519@openssh.com',
  label: 'ED25519-SK',
  fileName: 'id_ed25519_sk',
  algorithms: [{ name: 'sk-ssh-ed25519@openssh.com', hash: undefined }],
  alwaysPublic: true,
  readValue: reader => readEdwardsPublic('ed25519', reader),
  writeValue: (writer, value) => writer.string(value),
  verifier: value => edwardsVerifier('ed25519', value),
  decode: bytes => (bytes.length === 64 ? bytes : undefined),
})

export const skEcdsa = row({
  kind: 'sk-ecdsa',
  type: 'sk-ecdsa-sha2-nistp256@openssh.com',
  label: 'ECDSA-SK',
  fileName: 'id_ecdsa_sk',
  algorithms: [
    { name: 'sk-ecdsa-sha2-nistp256@openssh.com', hash: 'sha256' },
    { name: webauthnAlgorithm, hash: 'sha256', verifyOnly: true },
  ],
  alwaysPublic: false,
  readValue: reader => readPoint('nistp256', reader),
  writeValue: (writer, value) => writer.text('nistp256').string(value),
  verifier: value => verifierOf('nistp256', value),
  decode: bytes => decodeEcdsaSignature('nistp256', bytes),
})
