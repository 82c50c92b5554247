import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { defaultSignatureAlgorithms } from '../../lib/keys/algorithms.ts'
import type { Certificate } from '../../lib/keys/certificate.ts'
import { type CertificateRequest, issueCertificate } from '../../lib/keys/certificate-issue.ts'
import { generateKey, type PrivateKey } from '../../lib/keys/private-key.ts'
import { parsePublicKey } from '../../lib/keys/public-key.ts'
import { certifiedSigner, keySigner, type Signer } from '../../lib/keys/signer.ts'
import type {
  AuthenticationAttempt,
  Authority,
  ServerAuthenticationOptions,
  Verdict,
} from '../../lib/userauth/authority.ts'
import { encode } from '../../lib/wire/writer.ts'
import { joined } from './helpers.ts'

/** Certificates and security keys between a client and a server of ours, without bytes in between. */

const certificateFor = async (
  key: PrivateKey,
  authority: PrivateKey,
  request: Partial<CertificateRequest> = {},
  algorithm?: string,
): Promise<Certificate> =>
  issueCertificate(
    { kind: 'user', keyId: 'id', principals: ['alice'], publicKey: key.publicKey, ...request },
    keySigner(authority),
    algorithm,
  )

interface Asked {
  readonly type: string
  readonly certificate: Certificate | undefined
  readonly algorithm: string
}

/** An authority that keeps what it is asked. */
function asking(verdict: Verdict = { accepted: true }): Authority & { readonly asked: Asked[] } {
  const asked: Asked[] = []
  return {
    asked,
    async publicKey(_, key, certificate, algorithm) {
      asked.push({ type: key.type, certificate, algorithm })
      return verdict
    },
  }
}

const login = (signers: readonly Signer[], options: Partial<ServerAuthenticationOptions>) => {
  const pair = joined(
    { methods: ['publickey'], signers: () => signers },
    { signatureAlgorithms: defaultSignatureAlgorithms, ...options },
    { 'server-sig-algs': defaultSignatureAlgorithms.join(',') },
  )
  pair.client.catch(() => {})
  pair.server.catch(() => {})
  return pair
}

describe('a certificate', () => {
  it.each([
    ['ed25519', undefined, 'ssh-ed25519-cert-v01@openssh.com'],
    ['ecdsa', 256, 'ecdsa-sha2-nistp256-cert-v01@openssh.com'],
    ['ecdsa', 521, 'ecdsa-sha2-nistp521-cert-v01@openssh.com'],
    ['rsa', 2048, 'rsa-sha2-512-cert-v01@openssh.com'],
  ] as const)('of type %s %s reaches the authority with its key', async (type, bits, algorithm) => {
    const [key, ca] = [generateKey(type, bits), generateKey('ed25519')]
    const certificate = await certificateFor(key, ca)
    const authority = asking()
    const { server } = login([certifiedSigner(keySigner(key), certificate)], { authority })
    const outcome = await server
    expect(outcome.certificate?.blob).toEqual(certificate.blob)
    expect(outcome.publicKey?.blob).toEqual(key.publicKey.blob)
    expect(authority.asked).toHaveLength(2)
    expect(authority.asked[0]).toMatchObject({ type: key.publicKey.type, algorithm })
    expect(authority.asked[0]?.certificate?.blob).toEqual(certificate.blob)
  })

  it('is refused before the authority is asked when its own signature, type or authority is not acceptable', async () => {
    const [key, ca] = [generateKey('ed25519'), generateKey('rsa', 2048)]
    const good = await certificateFor(key, ca)
    const bent = Buffer.from(good.blob)
    bent[bent.length - 1]! ^= 1
    const signer = certifiedSigner(keySigner(key), good)
    const sha1 = certifiedSigner(keySigner(key), await certificateFor(key, ca, {}, 'ssh-rsa'))
    const authority = asking()
    for (const [shown, options] of [
      [{ ...signer, blob: bent }, {}],
      [{ ...signer, blob: key.publicKey.blob }, {}],
      [sha1, {}],
      [signer, { authorityAlgorithms: ['ssh-ed25519'] }],
      [signer, { signatureAlgorithms: ['ssh-ed25519'] }],
    ] as const) {
      const { client } = login([shown], { authority, ...options })
      await expect(client).rejects.toMatchObject({ code: 'exhausted' })
    }
    expect(authority.asked).toEqual([])
  })

  it('does not count as a second key beside the plain one', async () => {
    const [key, ca] = [generateKey('ed25519'), generateKey('ed25519')]
    const certificate = await certificateFor(key, ca)
    const options = { authority: asking(), requiredMethods: [['publickey', 'publickey']] }
    const { client } = login([keySigner(key), certifiedSigner(keySigner(key), certificate)], options)
    await expect(client).rejects.toMatchObject({ code: 'exhausted' })
    const { server } = login([keySigner(key), keySigner(generateKey('ed25519'))], options)
    expect(await server).toMatchObject({ method: 'publickey' })
  })
})

it('RSA keys that are too short are refused, plain and certified', async () => {
  const [key, ca] = [generateKey('rsa', 2048), generateKey('ed25519')]
  const authority = asking()
  for (const signer of [keySigner(key), certifiedSigner(keySigner(key), await certificateFor(key, ca))]) {
    const { client } = login([signer], { authority, requiredRsaBits: 2049 })
    await expect(client).rejects.toMatchObject({ code: 'exhausted' })
    const { server } = login([signer], { authority: asking(), requiredRsaBits: 2048 })
    expect(await server).toMatchObject({ method: 'publickey' })
  }
  expect(authority.asked).toEqual([])
})

it('every attempt is told of, with the key that was shown', async () => {
  const [first, second] = [generateKey('ed25519'), generateKey('ed25519')]
  const told: AuthenticationAttempt[] = []
  const authority: Authority = {
    publicKey: async (_, key) => ({ accepted: key.equals(second.publicKey) }),
  }
  const { server } = login([keySigner(first), keySigner(second)], { authority, attempted: each => told.push(each) })
  await server
  const methods = told.map(({ method, outcome, publicKey }) => [method, outcome, publicKey?.blob])
  expect(methods).toEqual([
    ['publickey', 'failed', first.publicKey.blob],
    ['publickey', 'postponed', second.publicKey.blob],
    ['publickey', 'accepted', second.publicKey.blob],
  ])
})

describe('a security key', () => {
  const application = 'ssh:'
  const sha256 = (data: Buffer | string): Buffer => createHash('sha256').update(data).digest()
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const type = 'sk-ssh-ed25519@openssh.com'
  const blob = encode(writer =>
    writer
      .text(type)
      .string(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32))
      .text(application),
  )

  /** What a device would sign, with these flags (PROTOCOL.u2f). */
  const device = (flags: number): Signer => ({
    publicKey: parsePublicKey(blob),
    blob,
    comment: 'device',
    algorithms: [type],
    async sign(data) {
      const counter = 7
      const signed = encode(writer => writer.bytes(sha256(application)).byte(flags).uint32(counter).bytes(sha256(data)))
      return encode(writer =>
        writer
          .text(type)
          .string(sign(null, signed, privateKey))
          .byte(flags)
          .uint32(counter),
      )
    },
  })

  it.each([
    ['touched', 1, undefined, true],
    ['not touched', 0, undefined, false],
    ['not touched, where that is allowed', 0, { touchRequired: false }, true],
    ['touched only, where the user must be verified', 1, { verificationRequired: true }, false],
    ['touched and verified', 5, { verificationRequired: true }, true],
    ['verified only', 4, { verificationRequired: true }, false],
    ['verified only, where no touch is wanted', 4, { touchRequired: false, verificationRequired: true }, true],
  ])('that was %s', async (_, flags, signature, accepted) => {
    const authority = asking({ accepted: true, ...(signature && { signature }) })
    const { client } = login([device(flags)], { authority })
    if (accepted) expect(await client).toMatchObject({ method: 'publickey' })
    else await expect(client).rejects.toMatchObject({ code: 'exhausted' })
  })
})
