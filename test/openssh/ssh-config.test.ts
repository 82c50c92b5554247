// biome-ignore-all lint/suspicious/noTemplateCurlyInString: lines of files that name variables
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { matchName } from '../../lib/sftp/glob.ts'
import { selectAlgorithms } from '../../src/openssh/algorithm-list.ts'
import { ConfigError } from '../../src/openssh/errors.ts'
import { explainSshConfig } from '../../src/openssh/explain.ts'
import { validHostname, validRemoteUser } from '../../src/openssh/forwarding.ts'
import { splitArguments, splitLine } from '../../src/openssh/lexer.ts'
import { createConfigReader, loadSshConfig, loadSshConfigWithDns, loadSshdConfig } from '../../src/openssh/load.ts'
import { printSshConfig } from '../../src/openssh/print.ts'
import { expandConfigCommand, expandConfigPath } from '../../src/openssh/resolve-ssh-config.ts'
import { sshKeywords } from '../../src/openssh/ssh-config.ts'
import { sshdKeywords } from '../../src/openssh/sshd-config.ts'
import { expandTilde, expandTokens } from '../../src/openssh/tokens.ts'

let home = ''
const write = (name: string, text: string, mode = 0o600): string => {
  const path = join(home, name)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, text, { mode })
  chmodSync(path, mode)
  return path
}
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'tssh-home-'))
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

const load = (text: string, more: Partial<Parameters<typeof loadSshConfig>[0]> = {}) =>
  loadSshConfig({ host: 'host', file: write('config', text), home, env: {}, localHost: 'here.example', ...more })

function errorOf(run: () => unknown): ConfigError {
  try {
    run()
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('words', () => {
  test.each([
    ['a b', ['a', 'b']],
    ['"a b" c', ['a b', 'c']],
    ["'a b'c", ['a bc']],
    ['a\\ b', ['a b']],
    ['"a\\ b"', ['a\\ b']],
    ['a\\"b', ['a"b']],
    ['"a\'b"', ["a'b"]],
    ['a # b', ['a']],
    ['a#b', ['a#b']],
    ['""', ['']],
    ['\\n', ['\\n']],
    ['', []],
    ['"a', undefined],
  ])('%j', (text, words) => {
    expect(splitArguments(text, { comments: true })).toEqual(words)
  })

  test.each([
    ['Port 22', 'port', '22'],
    ['  Port=22', 'port', '22'],
    ['Port = 22 \t', 'port', '22'],
    ['Port==22', 'port', '=22'],
    ['"Port" 22', 'port', '22'],
    ['Port', 'port', ''],
    ['Port 22\f', 'port', '22'],
  ])('line %j', (text, keyword, rest) => {
    expect(splitLine(text, 'f', 1)).toMatchObject({ keyword, rest })
  })

  test.each(['', '   ', '# x', '\t#x', '"unclosed 22'])('%j is passed over', text => {
    expect(splitLine(text, 'f', 1)).toBeUndefined()
  })
})

describe('errors', () => {
  test('all problems of a file, with file, line and OpenSSH’s words', () => {
    const error = errorOf(() => load('Port 22\nfoo bar\nHost x\n Port 99999\n BatchMode "yes\n'))
    const file = join(home, 'config')
    expect(error.file).toBe(file)
    expect(error.line).toBe(2)
    expect(error.message.split('\n')).toEqual([
      `${file}: line 2: Bad configuration option: foo`,
      `${file} line 4: Bad port '99999'.`,
      `${file} line 5: invalid quotes`,
      `${file}: terminating, 3 bad configuration options`,
    ])
    expect(error.problems.map(problem => problem.line)).toEqual([2, 4, 5])
  })

  test.each([
    ['Port', 'no argument after keyword "port"'],
    ['Port 1 2', 'keyword port extra arguments at end of line'],
    ['Ciphers nonsense', "Bad SSH2 cipher spec 'nonsense'."],
    ['MACs +x', "Bad SSH2 MAC spec '+x'."],
    ['KexAlgorithms ecdh*', "Bad SSH2 KexAlgorithms 'ecdh*'."],
    ['HostKeyAlgorithms x', "Bad key types 'x'."],
    ['ConnectTimeout 5x', 'invalid time value.'],
    ['LogLevel x', "unsupported log level 'x'"],
    ['BatchMode x', 'unsupported option "x".'],
    ['RekeyLimit 3', 'RekeyLimit too small'],
    ['LocalForward 1', 'Missing target argument.'],
    ['EscapeChar abc', 'Bad escape character.'],
    ['ObscureKeystrokeTiming interval:0', 'value out of range.'],
    ['ChannelTimeout session', 'invalid channel timeout session'],
    ['CanonicalDomains a..b', 'domain name "a..b" contains consecutive separators'],
    ['Match user', "missing argument for Match 'user'"],
    ['Match colour red', 'Unsupported Match attribute colour'],
    ['RefuseConnection "not this one"', 'RefuseConnection: not this one'],
  ])('%s', (line, text) => {
    expect(errorOf(() => load(`${line}\n`)).message).toContain(text)
  })

  test('an -o line names the command line', () => {
    expect(errorOf(() => load('', { options: ['Nope=1'] })).message).toBe(
      'command-line: line 0: Bad configuration option: nope',
    )
    expect(errorOf(() => load('', { options: ['Host x'] })).message).toContain('not supported as a command-line option')
  })

  test('IgnoreUnknown lets unknown keywords pass, after it', () => {
    expect(load('IgnoreUnknown Foo*\nFooBar x\n').port).toBe(22)
    expect(errorOf(() => load('FooBar x\nIgnoreUnknown Foo*\n')).line).toBe(1)
  })
})

describe('values', () => {
  test('the first value wins, -o before files, the user before the system', () => {
    write('.ssh/config', 'Host host\n User fromuser\nHost *\n Port 2\n')
    const systemFile = write('system', 'User fromsystem\nPort 3\nCompression yes\n')
    const config = loadSshConfig({ host: 'host', home, env: {}, systemFile, options: ['Port 1'] })
    expect(config).toMatchObject({ user: 'fromuser', port: 1, compression: true, host: 'host' })
  })

  test('-F reads that file only, and it must be there', () => {
    write('.ssh/config', 'Port 2\n')
    expect(load('User x\n').port).toBe(22)
    expect(loadSshConfig({ host: 'host', home, env: {}, file: 'none' }).port).toBe(22)
    expect(errorOf(() => loadSshConfig({ host: 'h', home, env: {}, file: join(home, 'no') })).message).toContain(
      `Can't open user config file ${join(home, 'no')}: No such file or directory`,
    )
  })

  test('typed values', () => {
    const config = load(
      [
        'ProxyJump a,b@c:3',
        'SetEnv A=1 B=%h',
        'LocalForward [::1]:80 /run/sock-%p',
        'RekeyLimit 1M 1h',
        'IPQoS ef 32',
        'AddKeysToAgent confirm 5m',
        'ChannelTimeout session=5m *=1h',
        'TunnelDevice 3:any',
      ].join('\n'),
    )
    expect(config.proxyJump.map(({ user, host, port }) => [user, host, port])).toEqual([
      [undefined, 'a', undefined],
      ['b', 'c', 3],
    ])
    expect(config.setEnv).toEqual([
      { name: 'A', value: '1' },
      { name: 'B', value: 'host' },
    ])
    expect(config.localForward).toEqual([{ listen: { host: '::1', port: 80 }, connect: { path: '/run/sock-22' } }])
    expect(config.rekeyLimit).toEqual({ bytes: 1048576, seconds: 3600 })
    expect(config.ipQoS).toEqual({ interactive: 0xb8, bulk: 0x20 })
    expect(config.addKeysToAgent).toEqual({ mode: 'confirm', seconds: 300 })
    expect(config.channelTimeout.map(({ type, seconds }) => [type, seconds])).toEqual([
      ['session', 300],
      ['*', 3600],
    ])
    expect(config.tunnelDevice).toEqual({ local: 3, remote: 'any' })
  })

  test('algorithm lists', () => {
    const all = ['a', 'b', 'c', 'old-1', 'old-2']
    const defaults = ['c', 'a']
    expect(selectAlgorithms('', defaults, all)).toEqual(['c', 'a'])
    expect(selectAlgorithms('b,a', defaults, all)).toEqual(['b', 'a'])
    expect(selectAlgorithms('+b,c', defaults, all)).toEqual(['c', 'a', 'b'])
    expect(selectAlgorithms('+old-*', defaults, all)).toEqual(['c', 'a', 'old-1', 'old-2'])
    expect(selectAlgorithms('-c*', defaults, all)).toEqual(['a'])
    expect(selectAlgorithms('^b', defaults, all)).toEqual(['b', 'c', 'a'])
    expect(() => selectAlgorithms('zzz', defaults, all)).toThrow(ConfigError)
    expect(() => selectAlgorithms('!a', defaults, all)).toThrow(ConfigError)
  })

  test('-W turns forwardings off unless they are asked for', () => {
    expect(load('LocalForward 1 a:2\n', { stdioForward: true })).toMatchObject({
      localForward: [],
      exitOnForwardFailure: true,
    })
    expect(load('LocalForward 1 a:2\nClearAllForwardings no\n', { stdioForward: true }).localForward).toHaveLength(1)
  })
})

describe('tokens', () => {
  test('percent signs, variables and what is malformed', () => {
    expect(expandTokens('%h-%%-${X}', { h: 'a' }, { X: '%h' })).toBe('a-%-%h')
    expect(expandTokens('${X}', { h: 'a' })).toBe('${X}')
    for (const text of ['%', '%z', '${X', '${}', '${NO}', '${__proto__}', '%_']) {
      expect(() => expandTokens(text, { h: 'a' }, {}), text).toThrow(ConfigError)
    }
  })

  test('what was put in is not expanded again', () => {
    expect(load('HostName %h\nRemoteCommand echo %n\n', { host: 'a%r' }).remoteCommand).toBe('echo a%r')
  })

  test('at use', () => {
    const config = load('HostName %h.example\nUser joe\nPort 77\nIdentityFile ~/.ssh/id-%r@%h\n')
    expect(expandConfigPath(config, config.identityFile[0]!)).toBe(`${home}/.ssh/id-joe@host.example`)
    expect(expandConfigCommand(config, 'nc %h %p %T', { T: 'tun0' })).toBe('nc host.example 77 tun0')
    expect(() => expandConfigCommand(config, '%T')).toThrow(ConfigError)
    expect(config.tokens).toMatchObject({ L: 'here', l: 'here.example', n: 'host', d: home })
  })

  test('home directories', () => {
    expect(expandTilde('~/a', { home: '/h' })).toBe('/h/a')
    expect(expandTilde('~//a', { home: '/h/' })).toBe('/h/a')
    expect(expandTilde('~joe/a', { home: '/h', homeOf: user => (user === 'joe' ? '/j' : undefined) })).toBe('/j/a')
    expect(() => expandTilde('~nobody', { home: '/h' })).toThrow(ConfigError)
  })
})

describe('Match', () => {
  test.each([
    ['all', true],
    ['!all', false],
    ['host host', true],
    ['host HOST', true],
    ['host other,h*', true],
    ['!host host', false],
    ['originalhost host', true],
    ['command "ls *"', true],
    ['!command ""', true],
    ['sessiontype exec', true],
    ['sessiontype shell', false],
    ['tagged "" ', true],
    ['tagged x', false],
    ['version OpenSSH_10.*', true],
    ['localnetwork 127.0.0.0/8', true],
    ['localnetwork 203.0.113.77/32', false],
    ['exec "yes %h"', true],
    ['exec no', false],
    ['final', true],
    ['canonical', false],
  ])('%s: %s', (criteria, matched) => {
    const exec = (command: string): number => (command === 'yes host' ? 0 : 1)
    expect(load(`Match ${criteria}\n Port 99\n`, { command: 'ls -l', exec }).port).toBe(matched ? 99 : 22)
  })

  test('a command runs only while the line can still match', () => {
    const commands: string[] = []
    const exec = (command: string): number => commands.push(command) && 0
    load('Match host other exec one\nMatch exec two host other\n', { exec })
    expect(commands).toEqual(['two'])
  })

  test('an abnormal end is an error', () => {
    expect(errorOf(() => load('Match exec boom\n', { exec: () => undefined })).message).toContain(
      "match exec 'boom' error",
    )
  })
})

describe('canonicalisation', () => {
  const dns: Readonly<Record<string, string>> = {
    'www.example.org.': 'web7.cdn.example',
    'full.example.org.': 'full.example.org',
  }
  const names: string[] = []
  const lookup = async ({ name }: { name: string }) => {
    names.push(name)
    const canonicalName = dns[name]
    return canonicalName === undefined ? { failure: 'Name or service not known', temporary: false } : { canonicalName }
  }
  const resolve = (text: string, host: string) => {
    names.length = 0
    return loadSshConfigWithDns({ host, file: write('config', text), home, env: {} }, lookup)
  }
  const domains = 'CanonicalizeHostname yes\nCanonicalDomains example.com example.org\n'

  test('tries the domains in order, and reads the files again', async () => {
    const config = await resolve(`${domains}Host full.example.org\n User canonical\n`, 'FULL')
    expect(config).toMatchObject({ hostName: 'full.example.org', user: 'canonical', host: 'FULL' })
    expect(names).toEqual(['full.example.com.', 'full.example.org.'])
  })

  test('follows permitted aliases only', async () => {
    expect((await resolve(domains, 'www')).hostName).toBe('www.example.org')
    const permitted = `${domains}CanonicalizePermittedCNAMEs *.example.org:*.cdn.example\n`
    expect((await resolve(permitted, 'www')).hostName).toBe('web7.cdn.example')
  })

  test('leaves names with enough dots, proxied names and addresses alone', async () => {
    expect((await resolve(domains, 'a.b.c')).hostName).toBe('a.b.c')
    expect((await resolve(`${domains}ProxyCommand x\n`, 'www')).hostName).toBe('www')
    expect((await resolve(domains, '2001:DB8::0')).hostName).toBe('2001:db8::')
    expect(names).toEqual([])
  })

  test('fails when it must not fall back', async () => {
    await expect(resolve(`${domains}CanonicalizeFallbackLocal no\n`, 'gone')).rejects.toThrow(ConfigError)
  })
})

describe('what a shell could obey (CVE-2023-51385, CVE-2025-61984, CVE-2026-35386)', () => {
  test.each(['-oProxyCommand=x', 'a;b', 'a`b`', '$(x)', 'a b', 'a\nb', 'a\0b', 'a|b', '{a,b}', "a'", 'a,b'])(
    'host %j',
    host => {
      expect(validHostname(host)).toBe(false)
      expect(() => load('', { host })).toThrow('hostname contains invalid characters')
    },
  )
  test.each(['-l', 'a;b', 'a`b', 'a -o', 'a\\', 'a\nb', 'a\x7f', "a'b", '$(x)', '(a'])('user %j', user => {
    expect(validRemoteUser(user)).toBe(false)
    expect(() => load('', { user })).toThrow('remote username contains invalid characters')
  })
  test('plain names pass', () => {
    expect(validHostname('host.example')).toBe(true)
    expect(validHostname('fe80::1%eth0')).toBe(true)
    expect(validRemoteUser('DOMAIN\\joe')).toBe(true)
    expect(validRemoteUser('joe smith')).toBe(true)
  })
  test('a user name that expansion changed is checked', () => {
    expect(() => load('User ${EVIL}\n', { env: { EVIL: 'x;reboot' } })).toThrow('invalid characters')
    expect(load('User lit;eral\n').user).toBe('lit;eral')
  })
  test('a jump host on the command line is checked', () => {
    expect(() => load('', { options: ['ProxyJump=a;b'] })).toThrow(ConfigError)
    expect(() => load('', { options: ['ProxyJump=ssh://u%00@h'] })).toThrow(ConfigError)
  })
})

describe('files', () => {
  test('the user’s file must not be writable by others', () => {
    const path = write('.ssh/config', 'Port 2\n', 0o620)
    expect(errorOf(() => loadSshConfig({ host: 'h', home, env: {} })).message).toBe(
      `Bad owner or permissions on ${path}`,
    )
  })

  test('includes: globs, nesting, and blocks that end with their file', () => {
    write('inc/1.conf', 'Host other\n Port 9\n')
    write('inc/2.conf', 'User fromtwo\n')
    write('inc/.hidden', 'Nonsense\n')
    const config = load(`Include ${home}/inc/*\nCompression yes\n`)
    expect(config).toMatchObject({ port: 22, user: 'fromtwo', compression: true })
  })

  test('an include inside a block that does not match only checks its lines', () => {
    write('inc', 'Match all\n Port 9\n')
    expect(load(`Host other\n Include ${home}/inc\n`).port).toBe(22)
    write('inc', 'Nonsense x\n')
    expect(errorOf(() => load(`Host other\n Include ${home}/inc\n`)).file).toBe(join(home, 'inc'))
  })

  test('a file that includes itself ends with an error', () => {
    expect(() => load(`Include ${home}/config\n`)).toThrow('Too many recursive configuration includes')
    expect(() => load(`Include ${home}/config ${home}/config\n`)).toThrow(ConfigError)
  })

  test('many includes end with an error', () => {
    for (let i = 0; i < 40; i++) write(`many/${i}`, `Include ${home}/leaf/*\n`)
    for (let i = 0; i < 40; i++) write(`leaf/${i}`, '')
    expect(() => load(`Include ${home}/many/*\n`)).toThrow('Too many configuration files')
  })

  test.each(['/dev/zero', '/dev/tty', '/tmp'])('%s is refused', path => {
    expect(() => loadSshConfig({ host: 'h', home, env: {}, file: path })).toThrow('not a regular file')
    expect(() => load(`Include ${path}\n`)).toThrow('not a regular file')
  })

  test('/dev/null is an empty file', () => {
    expect(loadSshConfig({ host: 'h', home, env: {}, file: '/dev/null' }).port).toBe(22)
  })

  test('a huge file is refused', () => {
    const path = write('huge', `${'#'.repeat(1023)}\n`.repeat(5000))
    const reader = createConfigReader({ uid: process.getuid?.() ?? 0 })
    expect(() => reader.read(path, { owner: false })).toThrow('too large')
  })

  test('file name patterns', () => {
    expect(matchName('*.conf', 'a.conf')).toBe(true)
    expect(matchName('*.conf', '.a.conf')).toBe(false)
    expect(matchName('[a-c]', 'b')).toBe(true)
    expect(matchName('[!a-c]', 'b')).toBe(false)
    expect(matchName('\\*', '*')).toBe(true)
  })
})

test('an explanation names the lines that won and lost', () => {
  write('config', '')
  const config = load('Host other\n Port 1\nHost *\n Port 2\n SendEnv A\nMatch all\n Port 3\n SendEnv B\n')
  const port = explainSshConfig(config).find(item => item.property === 'port')!
  expect(port.values).toEqual(['2'])
  expect(port.setBy.map(setting => setting.line)).toEqual([4])
  expect(port.overruled.map(setting => setting.line)).toEqual([7])
  const env = explainSshConfig(config).find(item => item.property === 'sendEnv')!
  expect(env.setBy.map(setting => setting.line)).toEqual([5, 8])
  expect(explainSshConfig(config).find(item => item.property === 'user')!.setBy).toEqual([])
})

describe('whatever is in the files', () => {
  const keywords = [...Object.values(sshKeywords), ...Object.values(sshdKeywords)].map(row => row.name)
  const special = fc.constantFrom(
    '"',
    "'",
    '\\',
    '=',
    '#',
    '%',
    '${',
    '}',
    '[',
    ']',
    ':',
    ',',
    '!',
    '*',
    '-',
    '+',
    '^',
    '@',
    '\0',
    '\r',
    'ÿ',
    '/',
  )
  const word = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.array(fc.oneof(special, fc.string({ maxLength: 3 })), { maxLength: 8 }).map(parts => parts.join('')),
    fc.constantFrom(
      'yes',
      'no',
      'none',
      'any',
      '1h',
      '22',
      'a:1',
      '[::1]:2',
      '10.0.0.0/8',
      'all',
      'user',
      'host',
      '99999999999999999999',
    ),
  )
  const line = fc
    .tuple(
      fc.constantFrom(...keywords, 'Host', 'Match', 'Include', '__proto__', 'constructor', 'toString'),
      fc.array(word, { maxLength: 4 }),
    )
    .map(([keyword, words]) => `${keyword} ${words.join(' ')}`)
  const text = fc
    .array(fc.oneof({ weight: 5, arbitrary: line }, word), { maxLength: 12 })
    .map(lines => lines.join('\n'))

  test('ssh_config gives a configuration or a ConfigError', () => {
    fc.assert(
      fc.property(text, content => {
        try {
          printSshConfig(load(content, { homeOf: () => undefined } as never))
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError)
        }
      }),
      { numRuns: 1500 },
    )
  })

  test('sshd_config gives a configuration or a ConfigError', () => {
    fc.assert(
      fc.property(text, content => {
        try {
          const file = write('sshd_config', content.replace(/^Match .*group.*$/gim, ''))
          loadSshdConfig({ file, groupsOf: () => [] }).forConnection({ user: 'joe', address: '10.0.0.1', host: 'h' })
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError)
        }
      }),
      { numRuns: 1500 },
    )
  })
})
