import { createHmac, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { hashedNameFinder } from '../../lib/crypto/hashed-names.ts'
import { linesOf } from '../../src/openssh/known-hosts.ts'

/** A hashed name, made by OpenSSL. */
function hashed(name: string): string {
  const salt = randomBytes(20)
  return `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(name).digest('base64')}`
}

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGm0vUkUxMiWqvnr+tBqfwuEUVLZbAKQjgXfTrdvjKEA'
const others = (count: number): string[] => Array.from({ length: count }, (_, i) => `${hashed(`h${i}`)} ${key}`)
const kept = (text: string, name: string): number[] => [...linesOf(text, name)].map(({ line }) => line)

// The padding of SHA-1 takes another block at 56 bytes, and at 120.
test.each([1, 20, 55, 56, 64, 119, 120, 900])('a name of %i characters is found among 2,000 others', length => {
  const name = 'x'.repeat(length)
  const lines = others(2000)
  for (const at of [0, 1, 777, 1998]) lines.splice(at, 0, `${hashed(name)} ${key}`)
  const text = `${lines.join('\n')}\n`
  expect(hashedNameFinder(Buffer.from(name))(text)).toBeDefined()
  expect(kept(text, name)).toEqual([1, 2, 778, 1999])
})

test('what is not a line that begins with a whole hash is never passed over', () => {
  const [line = ''] = others(1)
  const odd = [
    '',
    '# comment',
    ` ${line}`,
    `@revoked ${line}`,
    `plain.example ${key}`,
    '|1|',
    line.slice(0, 59),
    line.slice(0, 60),
    line.replace('|1|', '|2|'),
    line.replace('=|', '|'),
    line.replace('= ', '=x '),
    `${line.slice(0, 10)}~${line.slice(11)}`,
    `${line.slice(0, 40)}-${line.slice(41)}`,
    `${line.slice(0, 59)} ${line.slice(60)}`,
    `|1|${'x'.repeat(70000)}`,
  ]
  const around = others(30)
  const lines = odd.flatMap(text => [...around, text])
  const expected = odd.map((_, index) => (index + 1) * 31)
  expect(kept(`${lines.join('\n')}\n`, 'name')).toEqual(expected)
  // The last line is looked at anyway where nothing ends it.
  expect(kept([...lines, ...around].join('\n'), 'name')).toEqual([...expected, lines.length + 30])
})

test('a line longer than what is held at a time, between others', () => {
  const long = `${hashed('long')} ${key} ${'c'.repeat(100_000)}`
  const lines = [...others(500), long, `${hashed('name')} ${key}`, ...others(500)]
  expect(kept(`${lines.join('\n')}\n`, 'name')).toEqual([501, 502])
})

test('lines end at line feeds alone, and bytes beyond ASCII are left to others', () => {
  const lines = others(100).map(line => `${line} comment\r`)
  expect(kept(`${lines.join('\n')}\n`, 'h5')).toEqual([6])
  const text = `${others(100).join('\n')}\n# \u010a\u0a0a\n${hashed('name')} ${key}\n`
  expect(hashedNameFinder(Buffer.from('name'))(text)).toBeUndefined()
  expect(kept(text, 'name')).toContain(102)
})
