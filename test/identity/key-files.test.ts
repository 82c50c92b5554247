import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readPrivateKeyFile } from '../../src/identity/key-files.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-key-files-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test.each([0o640, 0o604, 0o644, 0o660])('a private key of mode %i (decimal) is warned of and not used', mode => {
  const file = join(folder, `key-${mode}`)
  writeFileSync(file, 'secret')
  chmodSync(file, mode)
  const lines: string[] = []
  expect(readPrivateKeyFile(file, { error: line => lines.push(line) })).toBeUndefined()
  // As ssh 9.2 prints it.
  expect(lines).toEqual([
    '@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@',
    '@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @',
    '@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@',
    `Permissions 0${mode.toString(8)} for '${file}' are too open.`,
    'It is required that your private key files are NOT accessible by others.',
    'This private key will be ignored.',
  ])
})

test('what is too large, or no file at all, is not read', () => {
  const file = join(folder, 'large')
  writeFileSync(file, Buffer.alloc(1024 * 1024 + 1), { mode: 0o600 })
  expect(() => readPrivateKeyFile(file, { error() {} })).toThrow()
  execFileSync('mkfifo', ['-m', '600', join(folder, 'pipe')])
  expect(() => readPrivateKeyFile(join(folder, 'pipe'), { error() {} })).toThrow('not a regular file')
})
