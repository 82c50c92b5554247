import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hash } from '../../lib/crypto/hash.ts'
import { KeyError } from '../../lib/errors.ts'
import { issueCertificate } from '../../lib/keys/certificate-issue.ts'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { parsePrivateKey } from '../../lib/keys/formats/private-file.ts'
import { generateKey, type PrivateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { certifiedSigner, keySigner } from '../../lib/keys/signer.ts'
import {
  decodeSshSignature,
  encodeSshSignature,
  formatSshSignature,
  parseSshSignature,
  signatureHashes,
  signMessage,
  startMessageHash,
  verifyMessage,
} from '../../lib/keys/sshsig.ts'
import { haveProgram } from '../support/programs.ts'

const message = Buffer.from('the message\n')
const digest = hash('sha512', message)
const key = generateKey('ed25519')
const sign = (signer = keySigner(key), namespace = 'file') => signMessage(signer, { namespace, hash: 'sha512', digest })

describe('message signatures', () => {
  test('a signature says what it is for and by whom', async () => {
    const read = parseSshSignature(formatSshSignature(await sign()))
    expect([read.namespace, read.hash]).toEqual(['file', 'sha512'])
    expect(read.publicKey.equals(key.publicKey)).toBe(true)
    verifyMessage(read, { namespace: 'file', digest })
    expect(() => verifyMessage(read, { namespace: 'email', digest })).toThrow('namespace does not match')
    expect(() => verifyMessage(read, { namespace: 'file', digest: hash('sha512', Buffer.from('x')) })).toThrow(
      'incorrect signature',
    )
    const otherHash = { ...read, hash: 'sha256' as const }
    expect(() => verifyMessage(otherHash, { namespace: 'file', digest })).toThrow(KeyError)
  })

  test('a message may come in pieces', () => {
    const running = startMessageHash('sha512')
    for (const byte of message) running.update(Buffer.of(byte))
    expect(running.digest()).toEqual(digest)
  })

  test('an RSA key signs with the hash of the message, never SHA-1', async () => {
    const rsa = generateKey('rsa', 2048)
    for (const name of signatureHashes) {
      const signed = await signMessage(keySigner(rsa), { namespace: 'file', hash: name, digest: hash(name, message) })
      expect(signed.signature.toString('latin1')).toContain(`rsa-sha2-${name.slice(3)}`)
      verifyMessage(signed, { namespace: 'file', digest: hash(name, message) })
    }
    const signed = await sign(keySigner(rsa))
    const weak = { ...signed, signature: rsa.sign(Buffer.from('x'), 'ssh-rsa') }
    expect(() => verifyMessage(weak, { namespace: 'file', digest })).toThrow('unsupported RSA')
  })

  test('an empty namespace is refused on both sides', async () => {
    await expect(sign(keySigner(key), '')).rejects.toThrow('namespace')
    const blank = encodeSshSignature({ ...(await sign()), namespace: '' })
    expect(() => decodeSshSignature(blank)).toThrow('namespace')
  })

  test('the armour must be whole', async () => {
    const text = formatSshSignature(await sign())
    expect(() => parseSshSignature(` ${text}`)).toThrow('missing header')
    expect(() => parseSshSignature(text.replace('-----END', '-----FIN'))).toThrow('missing footer')
    expect(() => parseSshSignature(text.replace('\nU', '\n!'))).toThrow('base64')
    verifyMessage(parseSshSignature(text.replaceAll('\n', '\r\n')), { namespace: 'file', digest })
  })

  test('10,000 damaged signatures: an error or a signature that does not verify for another message', async () => {
    const blob = encodeSshSignature(await sign())
    let state = 9
    const dice = (limit: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return Math.floor((state / 2 ** 32) * limit)
    }
    let accepted = 0
    const before = process.resourceUsage().maxRSS
    for (let i = 0; i < 10_000; i++) {
      const bad = Buffer.from(dice(8) === 0 ? blob.subarray(0, dice(blob.length)) : blob)
      const at = dice(Math.max(1, bad.length))
      if (at < bad.length) bad[at]! ^= 1 + dice(255)
      try {
        verifyMessage(decodeSshSignature(bad), { namespace: 'file', digest })
        accepted++
      } catch (error) {
        expect(error).toBeInstanceOf(KeyError)
      }
    }
    expect(accepted).toBe(0)
    // KiB: garbage.
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(64 * 1024)
  })
})

describe.skipIf(!haveProgram('ssh-keygen'))('with ssh-keygen', () => {
  let folder = ''
  const path = (name: string): string => join(folder, name)
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'tssh-sig-'))
    writeFileSync(path('message'), message)
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const kinds: readonly [string, () => PrivateKey][] = [
    ['ed25519', () => generateKey('ed25519')],
    ['ecdsa-256', () => generateKey('ecdsa', 256)],
    ['ecdsa-384', () => generateKey('ecdsa', 384)],
    ['ecdsa-521', () => generateKey('ecdsa', 521)],
    ['rsa', () => generateKey('rsa', 2048)],
  ]

  test.each(kinds)('%s: each checks what the other signed', async (name, make) => {
    const own = make()
    writeFileSync(path(name), formatOpensshV1(own), { mode: 0o600 })
    writeFileSync(path('allowed'), `who@example.org ${formatPublicKeyLine(own.publicKey)}\n`)
    for (const hashName of signatureHashes) {
      const options = { namespace: 'file', hash: hashName, digest: hash(hashName, message) }
      writeFileSync(path('sig'), formatSshSignature(await signMessage(keySigner(own), options)))
      const verify = ['-Y', 'verify', '-f', path('allowed'), '-I', 'who@example.org', '-n', 'file', '-s', path('sig')]
      const ran = spawnSync('ssh-keygen', verify, { input: message, encoding: 'utf8' })
      expect([ran.status, ran.stderr], ran.stdout).toEqual([0, ''])

      const args = ['-Y', 'sign', '-q', '-f', path(name), '-n', 'file', '-O', `hashalg=${hashName}`]
      const theirs = execFileSync('ssh-keygen', args, { input: message })
      const read = parseSshSignature(theirs)
      expect(read.hash).toBe(hashName)
      verifyMessage(read, { namespace: 'file', digest: hash(hashName, message) })
      if (name === 'ed25519') expect(formatSshSignature(read)).toBe(theirs.toString())
    }
  })

  test('a signature with a certificate', async () => {
    const authority = generateKey('ed25519')
    const request = { publicKey: key.publicKey, kind: 'user' as const, keyId: 'k', principals: ['who@example.org'] }
    const certificate = await issueCertificate(request, keySigner(authority))
    const signer = certifiedSigner(keySigner(parsePrivateKey(Buffer.from(formatOpensshV1(key)))), certificate)
    const signed = await sign(signer)
    verifyMessage(decodeSshSignature(encodeSshSignature(signed)), { namespace: 'file', digest })
    writeFileSync(path('sig'), formatSshSignature(signed))
    writeFileSync(path('allowed'), `*@example.org cert-authority ${formatPublicKeyLine(authority.publicKey)}\n`)
    const verify = ['-Y', 'verify', '-f', path('allowed'), '-I', 'who@example.org', '-n', 'file', '-s', path('sig')]
    const ran = spawnSync('ssh-keygen', verify, { input: message, encoding: 'utf8' })
    expect([ran.status, ran.stderr], ran.stdout).toEqual([0, ''])
  })
})
