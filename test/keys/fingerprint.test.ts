import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { hash } from '../../lib/crypto/hash.ts'
import { bubbleBabble, fingerprint, randomart } from '../../lib/keys/fingerprint.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { haveProgram } from '../support/programs.ts'

const folder = mkdtempSync(join(tmpdir(), 'tssh-fingerprints-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('bubble babble of the examples in its specification', () => {
  expect(bubbleBabble(Buffer.alloc(0))).toBe('xexax')
  expect(bubbleBabble(Buffer.from('1234567890'))).toBe('xesef-disof-gytuf-katof-movif-baxux')
  expect(bubbleBabble(Buffer.from('Pineapple'))).toBe('xigak-nyryk-humil-bosek-sonax')
})

describe.skipIf(!haveProgram('ssh-keygen'))('as ssh-keygen prints', () => {
  const keys = [
    ...Array.from({ length: 6 }, () => generateKey('ed25519')),
    generateKey('ecdsa', 256),
    generateKey('ecdsa', 521),
    generateKey('rsa', 1024),
  ]
  test.each(keys.map((key, i) => [i, key] as const))('key %i', (i, { publicKey }) => {
    const file = join(folder, `key${i}.pub`)
    writeFileSync(file, `${formatPublicKeyLine(publicKey, 'c')}\n`)
    const printed = (...args: string[]): string =>
      execFileSync('ssh-keygen', [...args, '-f', file], { encoding: 'utf8' })
    for (const kind of ['md5', 'sha1', 'sha256', 'sha384', 'sha512'] as const) {
      expect(printed('-l', '-v', '-E', kind)).toBe(
        `${publicKey.bits} ${fingerprint(publicKey.blob, kind)} c (${publicKey.label})\n${randomart(publicKey, kind)}\n`,
      )
    }
    expect(printed('-B')).toBe(
      `${publicKey.bits} ${bubbleBabble(hash('sha1', publicKey.blob))} c (${publicKey.label})\n`,
    )
  })
})
