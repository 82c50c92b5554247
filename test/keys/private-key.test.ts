import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { KeyError } from '../../lib/errors.ts'
import { fingerprint } from '../../lib/keys/fingerprint.ts'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { parsePrivateKey, publicPartOf } from '../../lib/keys/formats/private-file.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine, parsePublicKeyLine } from '../../lib/keys/public-key.ts'
import { haveProgram } from '../support/programs.ts'

const folder = mkdtempSync(join(tmpdir(), 'tssh-keys-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const kinds = [
  ['ed25519', undefined],
  ['ecdsa', 256],
  ['ecdsa', 384],
  ['ecdsa', 521],
  ['rsa', 2048],
] as const

describe.skipIf(!haveProgram('ssh-keygen'))('against ssh-keygen', () => {
  for (const [kind, bits] of kinds) {
    for (const format of ['RFC4716', 'PEM', 'PKCS8'] as const) {
      if (kind === 'ed25519' && format === 'PEM') continue
      for (const passphrase of ['', 'correct horse']) {
        test(`reads its ${kind} ${bits ?? ''} key as ${format}${passphrase ? ', encrypted' : ''}`, () => {
          const file = join(folder, `theirs-${kind}-${bits}-${format}-${passphrase.length}`)
          const size = bits ? ['-b', String(bits)] : []
          execFileSync('ssh-keygen', [
            '-q',
            '-t',
            kind,
            ...size,
            '-m',
            format,
            '-a',
            '2',
            '-N',
            passphrase,
            '-C',
            'a comment',
            '-f',
            file,
          ])
          const contents = readFileSync(file)
          const line = parsePublicKeyLine(readFileSync(`${file}.pub`, 'utf8'))
          if (passphrase) {
            expect(() => parsePrivateKey(contents)).toThrow(expect.objectContaining({ code: 'passphrase-required' }))
            expect(() => parsePrivateKey(contents, 'wrong')).toThrow(
              expect.objectContaining({ code: 'wrong-passphrase' }),
            )
          }
          const key = parsePrivateKey(contents, passphrase)
          expect(key.publicKey.equals(line.key)).toBe(true)
          expect(line.comment).toBe('a comment')
          const data = Buffer.from('signed data')
          for (const algorithm of key.publicKey.algorithms) {
            const signature = key.sign(data, algorithm)
            expect(line.key.verify(data, signature, algorithm)).toBe(true)
            expect(line.key.verify(Buffer.from('other data'), signature, algorithm)).toBe(false)
          }
          const listed = execFileSync('ssh-keygen', ['-lf', `${file}.pub`], { encoding: 'utf8' })
          expect(listed).toContain(
            `${key.publicKey.bits} ${fingerprint(key.publicKey.blob)} a comment (${key.publicKey.label})`,
          )
          const md5 = execFileSync('ssh-keygen', ['-E', 'md5', '-lf', `${file}.pub`], { encoding: 'utf8' })
          expect(md5).toContain(fingerprint(key.publicKey.blob, 'md5'))
        })
      }
    }

    test.each(['', 'a passphrase'])(`writes a ${kind} ${bits ?? ''} key that it reads (passphrase %j)`, passphrase => {
      const key = generateKey(kind, bits, 'made here')
      const file = join(folder, `ours-${kind}-${bits}-${passphrase.length}`)
      writeFileSync(file, formatOpensshV1(key, { passphrase, rounds: 2 }), { mode: 0o600 })
      const printed = execFileSync('ssh-keygen', ['-y', '-P', passphrase, '-f', file], { encoding: 'utf8' })
      expect(printed.trim()).toBe(formatPublicKeyLine(key.publicKey, 'made here'))
      expect(publicPartOf(readFileSync(file))?.equals(key.publicKey)).toBe(true)
    })
  }
})

test('damaged files end in a KeyError, whatever byte is hit', () => {
  const text = formatOpensshV1(generateKey('ed25519'), {})
  const body = Buffer.from(text.split('\n').slice(1, -2).join(''), 'base64')
  const accepted: number[] = []
  for (let i = 0; i < body.length; i++) {
    const damaged = Buffer.from(body)
    damaged[i]! ^= 0x80
    const file = `-----BEGIN OPENSSH PRIVATE KEY-----\n${damaged.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`
    try {
      parsePrivateKey(Buffer.from(file))
      accepted.push(i)
    } catch (error) {
      expect(error).toBeInstanceOf(KeyError)
    }
  }
  expect(accepted).toEqual([])
})

test('a wiped key signs no more', () => {
  const key = generateKey('ed25519')
  key.dispose()
  expect(() => key.sign(Buffer.from('x'), 'ssh-ed25519')).toThrow(KeyError)
})
