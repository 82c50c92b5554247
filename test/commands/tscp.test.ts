import { describe, expect, test } from 'vitest'
import { parseInvocation } from '../../commands/tscp/command-line.ts'
import { namesAskedFor } from '../../commands/tscp/legacy.ts'
import { expandBraces } from '../../commands/tscp/patterns.ts'
import { parseOperand } from '../../src/connect/operands.ts'

const remote = { kind: 'remote', user: undefined, port: undefined }

test.each([
  ['file', { kind: 'local', path: 'file' }],
  ['./a:b', { kind: 'local', path: './a:b' }],
  ['/a:b', { kind: 'local', path: '/a:b' }],
  [':b', { kind: 'local', path: ':b' }],
  ['host:', { ...remote, host: 'host', path: '' }],
  ['host:a:b', { ...remote, host: 'host', path: 'a:b' }],
  ['me@host:/x y', { ...remote, user: 'me', host: 'host', path: '/x y' }],
  ['me@there@host:x', { ...remote, user: 'me@there', host: 'host', path: 'x' }],
  ['[::1]:x', { ...remote, host: '::1', path: 'x' }],
  ['me@[fe80::1%eth0]:x', { ...remote, user: 'me', host: 'fe80::1%eth0', path: 'x' }],
  ['scp://host', { ...remote, host: 'host', path: '' }],
  ['scp://me@host:2022/a%20b', { kind: 'remote', user: 'me', host: 'host', port: 2022, path: 'a b' }],
  ['scp://m%40e@[::1]:22//abs', { kind: 'remote', user: 'm@e', host: '::1', port: 22, path: '/abs' }],
])('operand %s', (text, operand) => {
  expect(parseOperand(text)).toEqual(operand)
})

test.each([
  'scp://',
  'scp://host:0/x',
  'scp://host:99999/x',
  'scp://a@b@c/x',
  'scp://host/%zz',
  '@host:x',
  'a@:x',
  '-oProxyCommand=x:y',
  'h$(x):y',
  '-l@host:x',
  'a;b@host:x',
])('operand %s is refused', text => {
  expect(() => parseOperand(text)).toThrow()
})

test('braces expand as a shell expands them', () => {
  expect(expandBraces('a{b,c{d,e}}f')).toEqual(['abf', 'acdf', 'acef'])
  expect(expandBraces('{a,b}{1,2}')).toEqual(['a1', 'a2', 'b1', 'b2'])
  expect(expandBraces('{only}')).toEqual(['{only}'])
  expect(expandBraces('x{')).toEqual(['x{'])
  expect(expandBraces('\\{a,b}')).toEqual(['\\{a,b}'])
  expect(expandBraces('{,x}')).toEqual(['', 'x'])
  expect(expandBraces('{a,b}'.repeat(40)).length).toBeLessThanOrEqual(1024)
})

describe('names that a server of the old protocol may send', () => {
  test.each([
    ['dir/file', 'file', true],
    ['dir/file', 'other', false],
    ['*.txt', 'a.txt', true],
    ['*.txt', 'a.sh', false],
    ['*', '.bashrc', false],
    ['{a,b}/c', 'c', true],
    ['{a,b}', 'b', true],
    ['dir/', 'dir', true],
  ])('%s: %s %s', (asked, name, expected) => {
    expect([true, false].map(recursive => namesAskedFor(asked, recursive)?.(name))).toEqual([expected, expected])
  })
  test.each(['~', '', 'a/..', '$HOME', '`x`'])(
    'only the far shell knows %j: a tree may come, no single file',
    asked => {
      expect(namesAskedFor(asked, true)).toBeUndefined()
      for (const name of ['home', 'x', '.bashrc']) expect(namesAskedFor(asked, false)!(name)).toBe(false)
    },
  )
})

test('flags become settings, and the last of two rivals wins', () => {
  expect(parseInvocation(['-O', '-s', '-R', '-3', '-C4', '-i', 'key', 'a', 'h:'])).toMatchObject({
    protocol: 'sftp',
    betweenHosts: 'through-here',
    host: {
      options: ['Compression yes', 'AddressFamily inet', 'IdentityFile "key"'],
      programFlags: ['-C', '-4', '-i', 'key'],
    },
    sources: ['a'],
    target: 'h:',
  })
  expect(parseInvocation(['-l', '8', '-X', 'nrequests=3', '-X', 'buffer=64k', 'a', 'b', 'c:'])).toMatchObject({
    limit: 8192,
    requests: 3,
    requestSize: 65536,
    targetIsDirectory: true,
  })
})

test.each([
  [['a'], 1],
  [[], 1],
  [['-l', '0', 'a', 'b'], 1],
  [['-Z', 'a', 'b'], 1],
  [['-1', 'a', 'b'], 255],
  [['-P', 'x', 'a', 'b'], 255],
  [['-X', 'buffer=0', 'a', 'b'], 255],
  [['-X', 'what', 'a', 'b'], 255],
])('%j ends with status %d', (args, exitStatus) => {
  expect(() => parseInvocation(args)).toThrow(expect.objectContaining({ exitStatus }))
})
