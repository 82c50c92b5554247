import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/openssh/errors.ts'
import { parseSshConfig } from '../../src/openssh/lexer.ts'
import { lintSshConfig, lintSshdConfig } from '../../src/openssh/lint.ts'
import { printSshConfig } from '../../src/openssh/print.ts'
import { resolveSshConfig } from '../../src/openssh/resolve-ssh-config.ts'
import { sshKeywords } from '../../src/openssh/ssh-config.ts'

/** Resolves a text as the user's file; undefined when it was refused as a whole. */
function resolve(text: string): string | undefined {
  const config = resolveSshConfig({
    host: 'host.example',
    sources: [{ path: '/config', origin: 'user', required: true, checkOwner: false }],
    reader: {
      read: path => (path === '/config' ? { text } : { absent: 'No such file or directory', missing: true }),
      glob: () => [],
    },
    localUser: 'me',
    uid: 1000,
    home: '/home/me',
    localHost: 'here.example',
    env: { HOME: '/home/me' },
    sha1: () => '0'.repeat(40),
    exec: () => 1,
  })
  return printSshConfig(config)
}

/** What every parser may throw, and nothing else; each problem with its file and line. */
function refusedOrNot(run: () => unknown): void {
  try {
    run()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    expect(error.message).not.toBe('')
    for (const { file, line } of error.problems) {
      expect(typeof file).toBe('string')
      expect(line).toBeGreaterThanOrEqual(0)
    }
  }
}

const keyword = fc.constantFrom(
  ...Object.values(sshKeywords).map(({ name }) => name),
  'Host',
  'Match',
  'Include',
  'IgnoreUnknown',
  'Nonsense',
)
const word = fc.oneof(
  fc.constantFrom(
    'yes',
    'no',
    'none',
    '*',
    'all',
    'host',
    'user',
    'exec',
    '"',
    "'",
    '\\',
    '%h',
    '%%',
    '%',
    '$' + '{HOME}',
    '$' + '{',
    '~',
  ),
  fc.constantFrom(
    '22',
    '0',
    '-1',
    '99999999999',
    '1h30m',
    '+aes*',
    '-ssh*',
    '^x',
    '[::1]:22',
    'a:b:c',
    'final',
    'canonical',
    '!x',
  ),
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 6 }),
)
const separator = fc.constantFrom(' ', '=', ' = ', '\t', '', '  #', '\f')
const line = fc
  .tuple(keyword, separator, fc.array(word, { maxLength: 5 }))
  .map(([name, between, words]) => `${name}${between}${words.join(' ')}`)
const file = fc
  .array(fc.oneof(line, fc.string({ unit: 'binary', maxLength: 40 })), { maxLength: 20 })
  .map(lines => lines.join('\n'))

describe('any text', () => {
  test('is resolved or refused with file and line', () => {
    fc.assert(
      fc.property(file, text => refusedOrNot(() => resolve(text))),
      { seed: 11, numRuns: 1500 },
    )
  })

  test('is divided into blocks and looked at by lint, or refused', () => {
    fc.assert(
      fc.property(file, text => {
        refusedOrNot(() => parseSshConfig(text, '/config'))
        refusedOrNot(() => lintSshConfig(text, '/config'))
        refusedOrNot(() => lintSshdConfig(text, '/config'))
      }),
      { seed: 12, numRuns: 500 },
    )
  })
})

test('a valid file with any byte changed is resolved or refused', () => {
  const valid = Buffer.from(
    `Host *.example !bad.example\n  Port 2222\n  IdentityFile "~/.ssh/id with space"\n  ProxyJump a@b:22,c\n` +
      `Match host x user y exec "test %h"\n  LocalForward 8080 localhost:80\n  SetEnv A="b c" D=e\n  Ciphers +aes128-cbc\n`,
  )
  fc.assert(
    fc.property(fc.nat(valid.length - 1), fc.nat(255), (at, byte) => {
      const mutated = Buffer.from(valid)
      mutated[at] = byte
      refusedOrNot(() => resolve(mutated.toString('utf8')))
    }),
    { seed: 14, numRuns: 1500 },
  )
})
