// biome-ignore-all lint/suspicious/noTemplateCurlyInString: lines of files that name variables
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/openssh/errors.ts'
import { loadSshConfig } from '../../src/openssh/load.ts'
import { printSshConfig } from '../../src/openssh/print.ts'

const installed = spawnSync('ssh', ['-V']).status === 0

/** Options that OpenSSH 9.2 of Debian prints differently, each with the reason. */
const knownDifferences: Readonly<Record<string, string>> = {
  syslogfacility: 'OpenSSH sets it from a block that does not apply, too',
  forwardx11trusted: 'Debian changed the default to yes',
  gssapikeyexchange: 'patch of Debian',
  gssapitrustdns: 'patch of Debian',
  gssapirenewalforcesrekey: 'patch of Debian',
  gssapikexalgorithms: 'patch of Debian',
  warnweakcrypto: 'newer than 9.2',
  obscurekeystroketiming: 'newer than 9.2',
  channeltimeout: 'newer than 9.2',
  revokedhostkeys: '9.2 knows one file only',
  ciphers: 'default order differs',
  macs: 'default order may differ',
  kexalgorithms: '9.2 has no ML-KEM',
  hostkeyalgorithms: 'the webauthn algorithms are newer in the defaults',
  hostbasedacceptedalgorithms: 'the webauthn algorithms are newer in the defaults',
  pubkeyacceptedalgorithms: 'the webauthn algorithms are newer in the defaults',
  casignaturealgorithms: 'the webauthn algorithms are newer in the defaults',
}

/** Lines that differ for a reason which depends on the value. */
function comparable(text: string): string[] {
  return text
    .split('\n')
    .filter(line => line !== '' && !Object.hasOwn(knownDifferences, line.split(' ')[0]!))
    .filter(line => !/^identityfile ~\/\.ssh\/id_(xmss|dsa|mldsa44_ed25519)$/.test(line)) // key types of one version only
    .filter(line => !/^serveraliveinterval (0|300)$/.test(line)) // Debian sets 300 with BatchMode
    .filter(line => !/^ipqos (lowdelay throughput|ef cs0)$/.test(line)) // the default changed
}

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-config-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const environment = { PATH: process.env['PATH'], TESTVAR: 'value', LANG: 'C' }

function theirs(file: string, host: string, options: readonly string[]): string[] | 'refused' {
  const flags = options.flatMap(option => ['-o', option])
  const run = spawnSync('ssh', ['-G', '-F', file, ...flags, host], { encoding: 'utf8', env: environment })
  return run.status === 0 ? comparable(run.stdout) : 'refused'
}

function ours(file: string, host: string, options: readonly string[]): string[] | 'refused' {
  const exec = (command: string): number | undefined =>
    spawnSync('/bin/sh', ['-c', command], { env: environment }).status ?? undefined
  try {
    return comparable(printSshConfig(loadSshConfig({ host, file, options, env: environment, exec })))
  } catch (error) {
    if (error instanceof ConfigError) return 'refused'
    throw error
  }
}

function compare(text: string, host = 'host', options: readonly string[] = []): void {
  const file = join(folder, 'config')
  writeFileSync(file, text)
  expect(ours(file, host, options), text).toEqual(theirs(file, host, options))
}

/** Lines for each keyword, good and bad, with the quoting that people use. */
const lines: Readonly<Record<string, readonly string[]>> = {
  BatchMode: ['yes', 'no', 'true', 'FALSE', 'maybe', '""', '"yes"', 'yes no'],
  AddressFamily: ['any', 'inet', 'inet6', 'AF_INET'],
  CanonicalizeFallbackLocal: ['no'],
  CheckHostIP: ['yes'],
  Compression: ['yes', 'no', '6'],
  ControlMaster: ['auto', 'autoask', 'ask', 'yes'],
  ControlPath: [
    '~/.ssh/%r@%h:%p',
    '/tmp/%C',
    'none',
    '/tmp/%L-%l-%n-%u-%i',
    '/tmp/%z',
    '/tmp/${TESTVAR}',
    '%%x',
    '${NOPE_VAR}',
  ],
  ControlPersist: ['yes', 'no', '10m', '0', '1h30m', 'bad'],
  ConnectTimeout: ['5', '1m', 'none', '-1', '1w2d', '99999999999'],
  ConnectionAttempts: ['2', '0', 'x'],
  DynamicForward: ['1080', 'localhost:1080', '[::1]:1080', '/tmp/sock', '0'],
  LocalForward: [
    '8080 host:80',
    'localhost:8080 [::1]:80',
    '/tmp/a /tmp/b',
    '/tmp/a:/tmp/b',
    '8080',
    '*:1 a:2',
    '8081 /tmp/x-%h',
  ],
  RemoteForward: ['8080 host:80', '9000', '0 localhost:1', '/run/x localhost:22', 'bad bad'],
  EscapeChar: ['none', '~', '^x', '^?', '%', 'ab', "' '"],
  ExitOnForwardFailure: ['yes'],
  FingerprintHash: ['md5', 'sha256', 'crc'],
  ForwardAgent: ['yes', 'no'],
  ForwardX11Timeout: ['1h', '0'],
  GatewayPorts: ['yes'],
  GlobalKnownHostsFile: ['/a /b', '"/a b"', 'none', 'none /a'],
  HashKnownHosts: ['yes'],
  HostKeyAlias: ['Alias.Example'],
  HostName: ['%h.example.org', 'Other.Example', '%%', '10.0.0.1', '127.1', '2001:DB8::1'],
  IdentitiesOnly: ['yes'],
  IdentityAgent: ['none', 'SSH_AUTH_SOCK', '~/agent', '$TESTVAR', '${TESTVAR}/x'],
  IdentityFile: ['~/.ssh/one', '~/.ssh/two', '"/a b"', '/x/%h-%r', 'none', '/a\\ b'],
  CertificateFile: ['~/.ssh/one-cert.pub', '/two'],
  IPQoS: ['af21', 'af11 cs1', '0x10', '16', '184 8', 'none', 'nonsense'],
  KbdInteractiveDevices: ['bsdauth,pam'],
  LocalCommand: ['echo "%h" # not a comment', 'none', '= x'],
  LogLevel: ['DEBUG', 'debug1', 'QUIET', 'VERBOSE', 'LOUD'],
  LogVerbose: ['kex.c:*:*', 'none'],
  NumberOfPasswordPrompts: ['1'],
  PermitRemoteOpen: ['any', 'none', 'a:1 b:*', 'a', '[::1]:5'],
  PKCS11Provider: ['/usr/lib/x.so', 'none'],
  Port: ['2222', '0', '65536', '022', '22x'],
  PreferredAuthentications: ['publickey,password'],
  ProxyCommand: ['nc %h %p', 'none', 'connect -S "a b" %h'],
  ProxyJump: ['jump', 'user@jump:2222', 'a,b@c:3', 'none', '[::1]:22', 'ssh://u@h:1', 'a b', 'a # c', 'x:0', '@x'],
  ProxyUseFdpass: ['yes'],
  PubkeyAuthentication: ['unbound', 'host-bound', 'no', 'yes'],
  RekeyLimit: ['1G', '1G 1h', 'default none', '512', '15', 'default 1d', '2.5K', '1X'],
  RemoteCommand: ['ls %h', 'none', 'a "b c"'],
  RequestTTY: ['force', 'yes', 'no', 'auto'],
  RequiredRSASize: ['2048'],
  SendEnv: ['LC_* FOO', '-FOO', 'A=b', 'X', '-*'],
  ServerAliveInterval: ['15', '1m'],
  ServerAliveCountMax: ['9'],
  SessionType: ['none', 'subsystem', 'default'],
  SetEnv: ['A=b', '"A=b c" D=%h', 'A', 'A=1 A=2', 'E=${TESTVAR}'],
  StreamLocalBindUnlink: ['yes'],
  StrictHostKeyChecking: ['yes', 'no', 'off', 'accept-new', 'ask'],
  SyslogFacility: ['LOCAL3', 'auth', 'NEWS'],
  Tag: ['mytag'],
  Tunnel: ['yes', 'ethernet', 'point-to-point', 'no'],
  TunnelDevice: ['0:1', 'any', '3', 'any:any', 'x'],
  UpdateHostKeys: ['ask', 'yes'],
  User: ['someone', '%u-x', '%r', 'a b', '"quoted user"'],
  UserKnownHostsFile: ['/k1 /k2', '~/.ssh/kh-%h', 'none', '"/a b"', '/x/%k'],
  VerifyHostKeyDNS: ['ask', 'yes'],
  VisualHostKey: ['yes'],
  XAuthLocation: ['/x'],
  KeepAlive: ['no'],
  ChallengeResponseAuthentication: ['no'],
  IgnoreUnknown: ['Foo*,bar', 'nothing'],
  FooBar: ['x'],
  UseRoaming: ['yes'],
  Protocol: ['2'],
  ClearAllForwardings: ['yes'],
  Cipher: ['blowfish'],
}

/** Lines that 9.2 treats differently, with the reason. */
const notCompared: Readonly<Record<string, string>> = {
  'Tag mytag': 'newer than 9.2',
  'LocalForward /tmp/a /tmp/b': '-G of OpenSSH shows it a second time as a dynamic forwarding',
  'LocalForward 8081 /tmp/x-%h': '-G of OpenSSH shows it a second time as a dynamic forwarding',
  'HostName 2001:DB8::1': 'printed in lower case only where the resolver takes it as an address',
  'IPQoS 0x10': 'since 10.1 the old type-of-service names are gone',
  'IPQoS 16': 'since 10.1 the old type-of-service names are gone',
  'IPQoS 184 8': 'since 10.1 the old type-of-service names are gone',
  'LogLevel QUIET': 'printed by its older name SILENT',
  'ProxyJump a b': '9.2 stops at the first blank',
  'SetEnv "A=b c" D=%h': 'tokens are expanded since 10.0',
  'SetEnv E=${TESTVAR}': 'variables are expanded since 10.0',
  'User %u-x': 'tokens are expanded since 10.0',
  'User %r': 'tokens are expanded since 10.0',
}

const statements = Object.entries(lines)
  .flatMap(([keyword, values]) => values.map(value => ({ keyword, value })))
  .filter(({ keyword, value }) => !Object.hasOwn(notCompared, `${keyword} ${value}`))

describe.runIf(installed)('against ssh -G', () => {
  test('nothing configured', () => compare(''))

  test.each(statements)('$keyword $value', ({ keyword, value }) => compare(`${keyword} ${value}\n`))

  test('generated configurations', () => {
    const good = statements.filter(({ keyword, value }) => {
      if (value === '/tmp/%C') return false // the jump host is part of it since 9.6
      const file = join(folder, 'one')
      writeFileSync(file, `IgnoreUnknown Foo*\n${keyword} ${value}\n`)
      return ours(file, 'host', []) !== 'refused'
    })
    const separator = fc.constantFrom(' ', '=', ' = ', '\t', '  ')
    const statement = fc
      .tuple(fc.constantFrom(...good), separator, fc.boolean(), fc.constantFrom('', '  ', '\t'))
      .map(
        ([{ keyword, value }, between, lower, indent]) =>
          `${indent}${lower ? keyword.toLowerCase() : keyword}${between}${value}`,
      )
    const header = fc.constantFrom(
      'Host *',
      'Host host',
      'Host h?st !other',
      'Host !host *',
      'Host other',
      'Host "host"',
      'Match all',
      'Match host host,x',
      'Match host !*.example,*',
      'Match originalhost host user nobody',
      'Match user !someone,*',
      `Match localuser ${userInfo().username}`,
      'Match !host other exec "test %h = host"',
      'Match exec "false"',
      'Match exec "test -n %n" host *',
      'Match final',
      'Match final host host',
      'Match canonical all',
      'Match originalhost=host',
      '# a comment',
      '',
      `Include ${join(folder, 'inc-*')}`,
      `Include ${join(folder, 'missing')}`,
    )
    writeFileSync(join(folder, 'inc-1'), 'Host other\n Port 77\nMatch all\n ServerAliveInterval 99\n SendEnv INC\n')
    writeFileSync(join(folder, 'inc-2'), 'User included\nIdentityFile /included\nHost host\n Compression yes\n')
    const block = fc
      .tuple(header, fc.array(statement, { maxLength: 5 }))
      .map(([head, body]) => [head, ...body].join('\n'))
    const configuration = fc
      .array(block, { minLength: 1, maxLength: 6 })
      .map(blocks => `IgnoreUnknown Foo*\n${blocks.join('\n')}\n`)
    const option = fc.constantFrom(
      'Port=99',
      'User someone',
      'BatchMode = yes',
      'IdentityFile /from-option',
      'SendEnv OPT',
    )
    fc.assert(
      fc.property(configuration, fc.option(option), (text, extra) => {
        compare(text, 'host', extra === null ? [] : [extra])
      }),
      { numRuns: 300, seed: 20_261_124 },
    )
  }, 240_000)
})
