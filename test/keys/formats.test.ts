import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { KeyError } from '../../lib/errors.ts'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { formatPrivatePem, formatPublicPemKey, parsePublicPemKey } from '../../lib/keys/formats/pem.ts'
import { parsePrivateKey } from '../../lib/keys/formats/private-file.ts'
import { formatRfc4716, parseRfc4716 } from '../../lib/keys/formats/rfc4716.ts'
import { generateKey, type PrivateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine, parsePublicKeyLine } from '../../lib/keys/public-key.ts'
import { haveProgram } from '../support/programs.ts'

const folder = mkdtempSync(join(tmpdir(), 'tssh-formats-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string): string => join(folder, name)

const keys: readonly (readonly [string, PrivateKey])[] = [
  ['rsa', generateKey('rsa', 2048)],
  ['dsa', generateKey('dsa')],
  ['ecdsa-256', generateKey('ecdsa', 256)],
  ['ecdsa-384', generateKey('ecdsa', 384)],
  ['ecdsa-521', generateKey('ecdsa', 521)],
  ['ed25519', generateKey('ed25519')],
  ['ed448', generateKey('ed448')],
]

/** The examples of RFC 4716 §3.6 that hold keys of kinds and sizes we take. */
const rfcExamples = [
  {
    text: `---- BEGIN SSH2 PUBLIC KEY ----
Comment: "1024-bit RSA, converted from OpenSSH by me@example.com"
x-command: /home/me/bin/lock-in-guest.sh
AAAAB3NzaC1yc2EAAAABIwAAAIEA1on8gxCGJJWSRT4uOrR13mUaUk0hRf4RzxSZ1zRb
YYFw8pfGesIFoEuVth4HKyF8k1y4mRUnYHP1XNMNMJl1JcEArC2asV8sHf6zSPVffozZ
5TT4SfsUu/iKy9lUcCfXzwre4WWZSXXcPff+EHtWshahu3WzBdnGxm5Xoi89zcE=
---- END SSH2 PUBLIC KEY ----
`,
    type: 'ssh-rsa',
    comment: '1024-bit RSA, converted from OpenSSH by me@example.com',
  },
  {
    text: `---- BEGIN SSH2 PUBLIC KEY ----
Comment: This is my public key for use on \\
servers which I don't like.
AAAAB3NzaC1kc3MAAACBAPY8ZOHY2yFSJA6XYC9HRwNHxaehvx5wOJ0rzZdzoSOXxbET
W6ToHv8D1UJ/z+zHo9Fiko5XybZnDIaBDHtblQ+Yp7StxyltHnXF1YLfKD1G4T6JYrdH
YI14Om1eg9e4NnCRleaqoZPF3UGfZia6bXrGTQf3gJq2e7Yisk/gF+1VAAAAFQDb8D5c
vwHWTZDPfX0D2s9Rd7NBvQAAAIEAlN92+Bb7D4KLYk3IwRbXblwXdkPggA4pfdtW9vGf
J0/RHd+NjB4eo1D+0dix6tXwYGN7PKS5R/FXPNwxHPapcj9uL1Jn2AWQ2dsknf+i/FAA
vioUPkmdMc0zuWoSOEsSNhVDtX3WdvVcGcBq9cetzrtOKWOocJmJ80qadxTRHtUAAACB
AN7CY+KKv1gHpRzFwdQm7HK9bb1LAo2KwaoXnadFgeptNBQeSXG1vO+JsvphVMBJc9HS
n24VYtYtsMu74qXviYjziVucWKjjKEb11juqnF0GDlB3VVmxHLmxnAz643WK42Z7dLM5
sY29ouezv4Xz2PuMch5VGPP+CDqzCM4loWgV
---- END SSH2 PUBLIC KEY ----
`,
    type: 'ssh-dss',
    comment: "This is my public key for use on servers which I don't like.",
  },
]

test.each(rfcExamples)('RFC 4716 example with $type', ({ text, type, comment }) => {
  for (const end of ['\n', '\r\n', '\r']) {
    const read = parseRfc4716(text.replaceAll('\n', end))
    expect(read.key.type).toBe(type)
    expect(read.comment).toBe(comment)
  }
})

describe.each(keys)('%s', (name, key) => {
  test('private PEM forms come back, and say when the passphrase is wrong', () => {
    for (const form of ['pkcs8', 'traditional'] as const) {
      for (const passphrase of ['', 'correct horse']) {
        const text = Buffer.from(formatPrivatePem(key, form, passphrase))
        expect(parsePrivateKey(text, passphrase).publicKey.equals(key.publicKey)).toBe(true)
        if (!passphrase) continue
        const code = (value: string) => expect.objectContaining({ code: value })
        expect(() => parsePrivateKey(text)).toThrow(code('passphrase-required'))
        expect(() => parsePrivateKey(text, 'wrong one')).toThrow(code('wrong-passphrase'))
      }
    }
    expect(() => formatPrivatePem(key, 'pkcs8', 'abcd')).toThrow('passphrase is too short')
  })

  test.skipIf(!haveProgram('openssl'))('openssl reads our PEM, and we its', () => {
    const openssl = (...args: string[]): string => execFileSync('openssl', args, { encoding: 'utf8' })
    for (const form of ['pkcs8', 'traditional'] as const) {
      const path = file(`${name}-${form}.pem`)
      writeFileSync(path, formatPrivatePem(key, form, 'correct horse'))
      const spki = openssl('pkey', '-in', path, '-passin', 'pass:correct horse', '-pubout')
      expect(parsePublicPemKey(spki).equals(key.publicKey)).toBe(true)
      expect(formatPublicPemKey(key.publicKey, 'pkcs8')).toBe(spki)
    }
    const path = file(`${name}-pkcs8.pem`)
    // PBES2 with another cipher and hash, with scrypt, and PKCS#12's PBE, which PBES1 readers have.
    const ways = [
      ['-v2', 'aes-256-cbc', '-v2prf', 'hmacWithSHA512', '-iter', '10'],
      ['-v2', 'des3', '-iter', '10'],
      ['-scrypt', '-scrypt_N', '1024'],
      ['-v1', 'PBE-SHA1-3DES', '-iter', '10'],
    ]
    for (const way of ways) {
      const options = ['-topk8', '-passin', 'pass:correct horse', '-passout', 'pass:another', ...way]
      const text = openssl('pkcs8', '-in', path, ...options)
      expect(parsePrivateKey(Buffer.from(text), 'another').publicKey.equals(key.publicKey)).toBe(true)
    }
  })

  // OpenSSH has no Ed448.
  const shared = name === 'ed448' ? [] : ['ssh-keygen reads ours']
  test.skipIf(!haveProgram('ssh-keygen')).each(shared)('%s', () => {
    const keygen = (...args: string[]): string => execFileSync('ssh-keygen', args, { encoding: 'utf8' })
    const line = `${key.publicKey.type} ${key.publicKey.blob.toString('base64')}`
    for (const cipher of [
      'aes128-ctr',
      'aes192-cbc',
      'aes256-gcm@openssh.com',
      '3des-cbc',
      'chacha20-poly1305@openssh.com',
    ]) {
      const path = file(`${name}-${cipher}`)
      writeFileSync(path, formatOpensshV1(key, { passphrase: 'secret', cipher, rounds: 2, comment: 'ü c' }), {
        mode: 0o600,
      })
      expect(keygen('-y', '-P', 'secret', '-f', path).trim()).toBe(`${line} ü c`)
      expect(parsePrivateKey(readFileSync(path), 'secret').comment).toBe('ü c')
    }
    const path = file(`${name}-rfc`)
    writeFileSync(path, formatRfc4716(key.publicKey.blob, { subject: 'me', comment: 'long '.repeat(40) }))
    expect(keygen('-i', '-f', path).trim()).toBe(line)
    writeFileSync(`${path}.pub`, `${line}\n`)
    const theirs = parseRfc4716(keygen('-e', '-f', `${path}.pub`))
    expect(theirs.key.equals(key.publicKey)).toBe(true)
    expect(theirs.comment).toContain('converted by')
  })
})

test('a DSA key of OpenSSH, and its signatures both ways', () => {
  const key = generateKey('dsa', undefined, 'old')
  expect(key.publicKey).toMatchObject({ type: 'ssh-dss', label: 'DSA', bits: 1024, algorithms: ['ssh-dss'] })
  const [data, other] = [Buffer.from('data'), Buffer.from('other')]
  const signature = key.sign(data, 'ssh-dss')
  expect(signature.length).toBe(4 + 7 + 4 + 40)
  const line = parsePublicKeyLine(formatPublicKeyLine(key.publicKey))
  expect(line.key.verify(data, signature, 'ssh-dss')).toBe(true)
  expect(line.key.verify(other, signature, 'ssh-dss')).toBe(false)
  expect(line.key.verify(data, signature.subarray(0, -1), 'ssh-dss')).toBe(false)
})

test("OpenSSH's format that asks for too many rounds is refused before they are run", () => {
  const text = formatOpensshV1(generateKey('ed25519'), { passphrase: 'x', rounds: 1 })
  const body = Buffer.from(text.replace(/-----[^\n]*\n/g, ''), 'base64')
  // After the length of the derivation's options: a salt of 16 bytes with its length, then the rounds.
  const at = body.indexOf(Buffer.from('0000000662637279707400000018', 'hex')) + 14 + 20
  expect(body.readUInt32BE(at)).toBe(1)
  body.writeUInt32BE(0x7fffffff, at)
  const armour = '-----BEGIN OPENSSH PRIVATE KEY-----\n'
  const file = Buffer.from(`${armour}${body.toString('base64')}\n${armour.replace('BEGIN', 'END')}`)
  expect(() => parsePrivateKey(file, 'x')).toThrow('asks for 2147483647 rounds of bcrypt')
})

test('PKCS#8 that asks for too many rounds is refused before they are run', () => {
  // EncryptedPrivateKeyInfo with PBES2, PBKDF2 of 2^31-1 rounds.
  const seq = (...parts: Buffer[]): Buffer => {
    const body = Buffer.concat(parts)
    return Buffer.concat([Buffer.of(0x30, 0x81, body.length), body])
  }
  const oid = (hex: string) => Buffer.concat([Buffer.of(6, hex.length / 2), Buffer.from(hex, 'hex')])
  const octets = (bytes: Buffer) => Buffer.concat([Buffer.of(4, bytes.length), bytes])
  const kdf = seq(oid('2a864886f70d01050c'), seq(octets(Buffer.alloc(8)), Buffer.from('02047fffffff', 'hex')))
  const encryption = seq(oid('60864801650304012a'), octets(Buffer.alloc(16)))
  const der = seq(seq(oid('2a864886f70d01050d'), seq(kdf, encryption)), octets(Buffer.alloc(48)))
  const text = `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${der.toString('base64')}\n-----END ENCRYPTED PRIVATE KEY-----\n`
  expect(() => parsePrivateKey(Buffer.from(text), 'x')).toThrow('too many rounds')
})

test.each([
  ['empty', ''],
  ['no key', 'hello'],
  ['no end', '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA'],
  ['empty PEM', '-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n'],
  ['a certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
  ['a PuTTY key of version 1', 'PuTTY-User-Key-File-1: ssh-rsa\nEncryption: none\nComment: \n'],
  [
    'a short ssh.com key',
    '---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nP2/56w==\n---- END SSH2 ENCRYPTED PRIVATE KEY ----\n',
  ],
])('%s is an error that says so', (_, text) => {
  expect(() => parsePrivateKey(Buffer.from(text))).toThrow(KeyError)
})

test('a wrong passphrase is always called so, also where what it gives looks decrypted by chance', () => {
  const pem = formatPrivatePem(generateKey('ed25519'), 'pkcs8', 'right passphrase')
  for (let i = 0; i < 1000; i++) {
    expect(() => parsePrivateKey(Buffer.from(pem), `wrong ${i}`)).toThrow(
      expect.objectContaining({ code: 'wrong-passphrase' }),
    )
  }
})
