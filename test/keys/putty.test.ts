import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { formatPpk, publicKeyOfPpk } from '../../lib/keys/formats/ppk.ts'
import { parsePrivateKey } from '../../lib/keys/formats/private-file.ts'
import { formatRfc4716, parseRfc4716 } from '../../lib/keys/formats/rfc4716.ts'
import { generateKey, type PrivateKey } from '../../lib/keys/private-key.ts'
import { haveProgram } from '../support/programs.ts'

const folder = mkdtempSync(join(tmpdir(), 'tssh-putty-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string): string => join(folder, name)

const kinds: readonly (readonly [string, () => PrivateKey])[] = [
  ['rsa', () => generateKey('rsa', 2048, 'a comment')],
  ['dsa', () => generateKey('dsa', undefined, 'a comment')],
  ['ecdsa 256', () => generateKey('ecdsa', 256, 'a comment')],
  ['ecdsa 521', () => generateKey('ecdsa', 521, 'a comment')],
  ['ed25519', () => generateKey('ed25519', undefined, 'a comment')],
  ['ed448', () => generateKey('ed448', undefined, 'a comment')],
]

/** Both halves of a key agree, and the secret one is the one that was meant. */
function expectSame(read: PrivateKey, key: PrivateKey): void {
  expect(read.publicKey.equals(key.publicKey)).toBe(true)
  const data = Buffer.from('data')
  const [algorithm] = key.publicKey.algorithms
  expect(key.publicKey.verify(data, read.sign(data, algorithm!), algorithm)).toBe(true)
}

describe.skipIf(!haveProgram('puttygen'))('against puttygen', () => {
  writeFileSync(file('pass'), 'correct horse\n')
  writeFileSync(file('none'), '\n')
  const puttygen = (...args: string[]): string => execFileSync('puttygen', args, { encoding: 'utf8' })

  describe.each(kinds)('%s', (name, make) => {
    const key = make()
    const path = (suffix: string): string => file(`${name.replace(' ', '-')}-${suffix}`)

    test.each([
      [2, ''],
      [2, 'correct horse'],
      [3, ''],
      [3, 'correct horse'],
    ] as const)('it reads our version %i with passphrase %j', (version, passphrase) => {
      writeFileSync(path('ours.ppk'), formatPpk(key, { version, passphrase }))
      const line = puttygen('-L', path('ours.ppk'))
      expect(line.trim()).toBe(`${key.publicKey.type} ${key.publicKey.blob.toString('base64')} a comment`)
      // It opens the private half only to write another.
      const from = ['--old-passphrase', file(passphrase ? 'pass' : 'none'), '--new-passphrase', file('none')]
      puttygen(path('ours.ppk'), '--reencrypt', ...from, '-O', 'private', '-o', path('again.ppk'))
      expectSame(parsePrivateKey(readFileSync(path('again.ppk'))), key)
    })

    test.each([
      ['2', 'none', []],
      ['2', 'pass', []],
      ['3', 'none', []],
      ['3', 'pass', ['passes=2']],
      ['3', 'pass', ['kdf=argon2id']],
      ['3', 'pass', ['kdf=argon2i', 'passes=3', 'memory=1024']],
      ['3', 'pass', ['kdf=argon2d', 'passes=2', 'memory=512', 'parallelism=2']],
    ] as const)('we read its version %s with %s %j', (version, passphrase, parameters) => {
      if (name !== 'ed25519' && parameters[0]?.startsWith('kdf')) return
      writeFileSync(path('plain.ppk'), formatPpk(key))
      const options = ['--ppk-param', [`version=${version}`, ...parameters].join(',')]
      const to = ['--reencrypt', '--new-passphrase', file(passphrase), '-O', 'private', '-o', path('theirs.ppk')]
      puttygen(path('plain.ppk'), ...options, ...to)
      const contents = readFileSync(path('theirs.ppk'))
      expect(publicKeyOfPpk(contents.toString('latin1')).equals(key.publicKey)).toBe(true)
      if (passphrase === 'pass') {
        const code = (value: string) => expect.objectContaining({ code: value })
        expect(() => parsePrivateKey(contents)).toThrow(code('passphrase-required'))
        expect(() => parsePrivateKey(contents, 'wrong')).toThrow(code('wrong-passphrase'))
      }
      const read = parsePrivateKey(contents, 'correct horse')
      expect(read.comment).toBe('a comment')
      expectSame(read, key)
    })

    // The old format knows no other types.
    const forms = name === 'rsa' || name === 'dsa' ? ['none', 'pass'] : []
    for (const passphrase of forms) {
      test(`its ssh.com form, ${passphrase}`, () => {
        writeFileSync(path('plain.ppk'), formatPpk(key))
        const to = ['--new-passphrase', file(passphrase), '-O', 'private-sshcom', '-o', path('ssh.com')]
        puttygen(path('plain.ppk'), ...to)
        const contents = readFileSync(path('ssh.com'))
        if (passphrase === 'pass') {
          const code = (value: string) => expect.objectContaining({ code: value })
          expect(() => parsePrivateKey(contents)).toThrow(code('passphrase-required'))
          expect(() => parsePrivateKey(contents, 'wrong')).toThrow(code('wrong-passphrase'))
        }
        const read = parsePrivateKey(contents, 'correct horse')
        expect(read.comment).toBe('a comment')
        expectSame(read, key)
      })
    }

    test('RFC 4716, both ways', () => {
      writeFileSync(path('rfc.pub'), formatRfc4716(key.publicKey.blob, { comment: 'one word' }))
      expect(puttygen('-L', path('rfc.pub'))).toContain(`${key.publicKey.blob.toString('base64')} one word`)
      writeFileSync(path('plain.ppk'), formatPpk(key))
      const theirs = parseRfc4716(puttygen('-p', path('plain.ppk')))
      expect(theirs.key.equals(key.publicKey)).toBe(true)
      expect(theirs.comment).toBe('a comment')
    })

    // PuTTY and OpenSSH share no form of Ed448.
    const shared = name === 'ed448' ? [] : ['an OpenSSH key goes there and comes back']
    test.each(shared)('%s', () => {
      writeFileSync(path('openssh'), formatOpensshV1(key), { mode: 0o600 })
      puttygen(path('openssh'), '-O', 'private', '--new-passphrase', file('none'), '-o', path('moved.ppk'))
      expectSame(parsePrivateKey(readFileSync(path('moved.ppk'))), key)
    })
  })
})

test('a MAC that is wrong by one bit, and greedy files, are refused', () => {
  const key = generateKey('ed25519')
  const text = formatPpk(key)
  const damaged = text.replace(/(Private-MAC: )(.)/, (_, name, digit) => name + (digit === '0' ? '1' : '0'))
  expect(() => parsePrivateKey(Buffer.from(damaged))).toThrow('MAC')
  const greedy = formatPpk(key, { passphrase: 'x' }).replace('Argon2-Memory: 8192', 'Argon2-Memory: 999999999')
  expect(() => parsePrivateKey(Buffer.from(greedy), 'x')).toThrow('too much memory')
  const slow = formatPpk(key, { passphrase: 'x' }).replace('Argon2-Passes: 13', 'Argon2-Passes: 999999999')
  expect(() => parsePrivateKey(Buffer.from(slow), 'x')).toThrow('too much memory or time')
})
