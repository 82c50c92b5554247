import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KeyError } from '../../lib/errors.ts'
import { type Certificate, forever, parseCertificate, parseKeyOrCertificateLine } from '../../lib/keys/certificate.ts'
import { checkCertificate, readCertificateOptions } from '../../lib/keys/certificate-check.ts'
import {
  type CertificateRequest,
  defaultUserExtensions,
  flagOption,
  issueCertificate,
  textOption,
} from '../../lib/keys/certificate-issue.ts'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { parsePrivateKey } from '../../lib/keys/formats/private-file.ts'
import { generateKey, type PrivateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { certifiedSigner, keySigner } from '../../lib/keys/signer.ts'
import { encode } from '../../lib/wire/writer.ts'
import { haveProgram } from '../support/programs.ts'

const folder = mkdtempSync(join(tmpdir(), 'tssh-certificates-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string): string => join(folder, name)

const authority = generateKey('ed25519', undefined, 'the authority')
const user = generateKey('ecdsa', 256)
const now = BigInt(Math.floor(Date.now() / 1000))

const request: CertificateRequest = {
  publicKey: user.publicKey,
  kind: 'user',
  keyId: 'alice at work',
  principals: ['alice', 'root'],
  serial: 42n,
  validAfter: now - 60n,
  validBefore: now + 60n,
  criticalOptions: new Map([
    ['source-address', textOption('192.0.2.0/24')],
    ['force-command', textOption('/bin/true')],
  ]),
  extensions: new Map([...defaultUserExtensions, ['no-touch-required', flagOption]]),
}
const purpose = { kind: 'user', principal: 'alice', now } as const
let certificate: Certificate
beforeAll(async () => {
  certificate = await issueCertificate(request, keySigner(authority))
})

const refusal = (change: Partial<CertificateRequest>, asked: Partial<Parameters<typeof checkCertificate>[1]> = {}) =>
  issueCertificate({ ...request, ...change }, keySigner(authority)).then(issued =>
    checkCertificate(issued, { ...purpose, ...asked }),
  )

describe('what a certificate is good for', () => {
  test('its own purpose', () => {
    expect(() => checkCertificate(certificate, purpose)).not.toThrow()
    expect(() => checkCertificate(certificate, { ...purpose, principal: undefined })).not.toThrow()
  })

  test.each([
    ['a host', {}, { kind: 'host' }, 'not a host certificate'],
    ['before its time', {}, { now: now - 61n }, 'not yet valid'],
    ['after its time', {}, { now: now + 60n }, 'expired'],
    ['another user', {}, { principal: 'bob' }, 'not a listed principal'],
    ['an empty name', {}, { principal: '' }, 'not a listed principal'],
    ['anybody, without principals', { principals: [] }, {}, 'lacks principal list'],
    ['a user, by a wildcard', { principals: ['*'] }, {}, 'not a listed principal'],
    ['a user, by a list in one principal', { principals: ['alice,bob'] }, {}, 'not a listed principal'],
    ['anything, under an algorithm not allowed', {}, { authorityAlgorithms: ['rsa-sha2-512'] }, 'disallowed algorithm'],
    [
      'anything, with a critical option nobody knows',
      { criticalOptions: new Map([['tell-mother', flagOption]]) },
      {},
      'not supported',
    ],
    [
      'anything, with a damaged flag',
      { criticalOptions: new Map([['verify-required', Buffer.from('x')]]) },
      {},
      'corrupt',
    ],
    [
      'anything, with a damaged text',
      { criticalOptions: new Map([['force-command', Buffer.from('x')]]) },
      {},
      'malformed',
    ],
    ['a host, with critical options', { kind: 'host' }, { kind: 'host' }, 'unsupported critical options'],
  ] as const)('not for %s', async (_what, change, asked, reason) => {
    await expect(refusal(change, asked)).rejects.toThrow(reason)
  })

  test('wildcards count in host certificates', async () => {
    const host = { kind: 'host', principals: ['*.example.com'], criticalOptions: new Map() } as const
    await expect(refusal(host, { kind: 'host', principal: 'www.example.com' })).resolves.toBeUndefined()
    await expect(refusal(host, { kind: 'host', principal: 'example.com' })).rejects.toThrow('not a listed principal')
  })

  test('its options', () => {
    expect(readCertificateOptions(certificate)).toEqual({
      forceCommand: '/bin/true',
      sourceAddress: '192.0.2.0/24',
      verifyRequired: false,
      touchRequired: false,
      permitX11Forwarding: true,
      permitAgentForwarding: true,
      permitPortForwarding: true,
      permitPty: true,
      permitUserRc: true,
    })
  })
})

describe('certificates that are none', () => {
  test('every damaged byte ends in a KeyError', () => {
    for (let at = 0; at < certificate.blob.length; at++) {
      const damaged = Buffer.from(certificate.blob)
      damaged[at]! ^= 0x40
      expect(() => parseCertificate(damaged)).toThrow(KeyError)
    }
  })

  test('every cut ends in a KeyError, and so does a byte too many', () => {
    for (let length = 0; length < certificate.blob.length; length++)
      expect(() => parseCertificate(certificate.blob.subarray(0, length))).toThrow(KeyError)
    expect(() => parseCertificate(Buffer.concat([certificate.blob, Buffer.of(0)]))).toThrow(KeyError)
  })

  test('a certificate as authority', async () => {
    const signer = keySigner(authority)
    const chained = { ...signer, publicKey: { ...signer.publicKey, blob: certificate.blob } }
    await expect(issueCertificate(request, chained, 'ssh-ed25519')).rejects.toThrow(KeyError)
  })

  test('too many principals, one with a NUL, an option twice', async () => {
    const many = Array.from({ length: 257 }, (_, i) => `user${i}`)
    await expect(issueCertificate({ ...request, principals: many }, keySigner(authority))).rejects.toThrow('too many')
    await expect(issueCertificate({ ...request, principals: ['root\0'] }, keySigner(authority))).rejects.toThrow(
      'bad text',
    )
    await expect(issueCertificate({ ...request, validBefore: 1n }, keySigner(authority))).rejects.toThrow(KeyError)
  })

  test('a certificate for another key than the signer has', () => {
    expect(() => certifiedSigner(keySigner(authority), certificate)).toThrow(
      expect.objectContaining({ code: 'mismatch' }),
    )
  })
})

test('a certified signer signs as its key under the names for certificates', async () => {
  const rsa = generateKey('rsa', 2048)
  const issued = await issueCertificate({ ...request, publicKey: rsa.publicKey }, keySigner(authority))
  const signer = certifiedSigner(keySigner(rsa), issued)
  expect(signer.algorithms.slice(0, 2)).toEqual([
    'rsa-sha2-512-cert-v01@openssh.com',
    'rsa-sha2-256-cert-v01@openssh.com',
  ])
  const data = Buffer.from('data')
  expect(rsa.publicKey.verify(data, await signer.sign(data, signer.algorithms[0]!), 'rsa-sha2-512')).toBe(true)
})

describe.skipIf(!haveProgram('ssh-keygen'))('against ssh-keygen', () => {
  const keygen = (...args: string[]): string => execFileSync('ssh-keygen', args, { encoding: 'utf8' })
  const save = (name: string, key: PrivateKey): string => {
    writeFileSync(file(name), formatOpensshV1(key), { mode: 0o600 })
    writeFileSync(file(`${name}.pub`), `${formatPublicKeyLine(key.publicKey, key.comment)}\n`)
    return file(name)
  }

  test.each([
    ['ed25519', undefined],
    ['ecdsa', 256],
    ['ecdsa', 384],
    ['ecdsa', 521],
    ['rsa', 2048],
  ] as const)('it shows what we issued with %s %s', async (kind, bits) => {
    const key = generateKey(kind, bits)
    const authorityHere = generateKey(kind, bits)
    const issued = await issueCertificate({ ...request, publicKey: key.publicKey }, keySigner(authorityHere))
    writeFileSync(file('ours-cert.pub'), `${formatPublicKeyLine(issued, 'comment')}\n`)
    const shown = keygen('-L', '-f', file('ours-cert.pub'))
    expect(shown).toContain(`Type: ${issued.type} user certificate`)
    expect(shown).toContain('Key ID: "alice at work"')
    expect(shown).toContain('Serial: 42')
    expect(shown).toMatch(/Principals: \n\s+alice\n\s+root\n/)
    expect(shown).toMatch(/force-command \/bin\/true\n\s+source-address 192\.0\.2\.0\/24\n/)
    expect(shown).toMatch(/no-touch-required\n\s+permit-X11-forwarding\n\s+permit-agent-forwarding\n/)
    expect(shown).toContain(`(using ${issued.signatureAlgorithm})`)
  })

  test.each([
    ['ed25519', 'ssh-ed25519'],
    ['rsa', 'rsa-sha2-512'],
    ['rsa', 'rsa-sha2-256'],
  ] as const)('we read what it issued with %s under %s', (kind, algorithm) => {
    const key = save(`authority-${algorithm}`, generateKey(kind, kind === 'rsa' ? 2048 : undefined))
    const subject = save(`subject-${algorithm}`, user)
    const options = ['-O', 'force-command=ls -l', '-O', 'no-pty', '-O', 'verify-required', '-O', 'extension:x@y=z']
    const limits = ['-n', 'one,two', '-z', '18446744073709551615', '-V', 'always:forever']
    keygen('-q', '-s', key, '-t', algorithm, '-I', 'an id', ...limits, ...options, `${subject}.pub`)
    const { certificate: read, comment } = parseKeyOrCertificateLine(readFileSync(`${subject}-cert.pub`, 'utf8'))
    expect(read).toMatchObject({
      type: 'ecdsa-sha2-nistp256-cert-v01@openssh.com',
      kind: 'user',
      serial: 18446744073709551615n,
      keyId: 'an id',
      principals: ['one', 'two'],
      validAfter: 0n,
      validBefore: forever,
      signatureAlgorithm: algorithm,
    })
    // What it takes for a comment where the key has none.
    expect(comment).toBe(`${subject}.pub`)
    expect(read?.publicKey.equals(user.publicKey)).toBe(true)
    expect(read?.extensions.get('x@y')).toEqual(encode(writer => writer.text('z')))
    expect(readCertificateOptions(read!)).toMatchObject({
      forceCommand: 'ls -l',
      verifyRequired: true,
      permitPty: false,
      permitUserRc: true,
    })
    checkCertificate(read!, { kind: 'user', principal: 'two', now })
  })

  test('a host certificate of its own, and SHA-1 of an authority refused', () => {
    const key = save('old-authority', generateKey('rsa', 2048))
    const subject = save('host', user)
    const made = spawnSync('ssh-keygen', [
      ...['-q', '-s', key, '-t', 'ssh-rsa', '-h', '-I', 'host', '-n', 'www.example.com', `${subject}.pub`],
    ])
    expect(made.status).toBe(0)
    const { certificate: read } = parseKeyOrCertificateLine(readFileSync(`${subject}-cert.pub`, 'utf8'))
    const asked = { kind: 'host', principal: 'www.example.com', now } as const
    expect(() => checkCertificate(read!, asked)).toThrow('disallowed algorithm ssh-rsa')
    expect(() => checkCertificate(read!, { ...asked, authorityAlgorithms: ['ssh-rsa'] })).not.toThrow()
  })

  test('a private key it made signs a certificate here', async () => {
    keygen('-q', '-t', 'ecdsa', '-b', '521', '-N', '', '-f', file('made-there'))
    const key = parsePrivateKey(readFileSync(file('made-there')))
    const issued = await issueCertificate(request, keySigner(key))
    expect(parseCertificate(issued.blob).signatureKey.equals(key.publicKey)).toBe(true)
  })
})
