import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/openssh/errors.ts'
import { loadSshdConfig } from '../../src/openssh/load.ts'
import { parseConnectionSpec, type ServerConnection } from '../../src/openssh/match-server.ts'
import { printSshdConfig } from '../../src/openssh/print.ts'

const sshd = '/usr/sbin/sshd'
const folder = mkdtempSync(join(tmpdir(), 'tssh-sshd-config-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const hostKey = join(folder, 'host_key')
const file = join(folder, 'sshd_config')
const usable = (() => {
  spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', hostKey])
  writeFileSync(file, `HostKey ${hostKey}\n`)
  return spawnSync(sshd, ['-T', '-f', file]).status === 0
})()

/** Options that OpenSSH 9.2 of Debian prints differently, each with the reason. */
const knownDifferences: Readonly<Record<string, string>> = {
  kerberosauthentication: 'Kerberos is not supported here',
  kerberosorlocalpasswd: 'Kerberos is not supported here',
  kerberosticketcleanup: 'Kerberos is not supported here',
  gssapikeyexchange: 'patch of Debian',
  gssapistorecredentialsonrekey: 'patch of Debian',
  gssapikexalgorithms: 'patch of Debian',
  gssapidelegatecredentials: 'newer than 9.2',
  pamservicename: 'newer than 9.2',
  refuseconnection: 'newer than 9.2',
  channeltimeout: 'moved in the output',
  unusedconnectiontimeout: 'moved in the output',
  persourcepenalties: 'newer than 9.2',
  persourcepenaltyexemptlist: 'newer than 9.2',
  sshdsessionpath: 'newer than 9.2',
  sshdauthpath: 'newer than 9.2',
  logverbose: 'not printed by 9.2',
  pidfile: 'chosen when built',
  ciphers: 'the engine has lists of its own',
  macs: 'the engine has lists of its own',
  kexalgorithms: 'the engine has lists of its own',
  casignaturealgorithms: 'the engine has lists of its own',
  hostbasedacceptedalgorithms: 'the engine has lists of its own',
  hostkeyalgorithms: 'the engine has lists of its own',
  pubkeyacceptedalgorithms: 'the engine has lists of its own',
  revokedkeys: 'moved in the output, and one file only in 9.2',
}

/** Keywords are printed in their full spelling since 10.3, and in lower case before. */
function comparable(text: string): string[] {
  return text
    .split('\n')
    .map(line => line.replace(/^\S+/, keyword => keyword.toLowerCase()))
    .filter(line => line !== '' && !Object.hasOwn(knownDifferences, line.split(' ')[0]!))
    .filter(line => !/^ipqos (lowdelay throughput|ef cs0)$/.test(line)) // the default changed
    .map(line => line.replace(/^permitrootlogin prohibit-password$/, 'permitrootlogin without-password')) // another first spelling
}

function theirs(spec: string): string[] | 'refused' {
  const run = spawnSync(sshd, ['-T', '-f', file, ...(spec === '' ? [] : ['-C', spec])], { encoding: 'utf8' })
  return run.status === 0 ? comparable(run.stdout) : 'refused'
}

function ours(spec: string): string[] | 'refused' {
  try {
    const connection = parseConnectionSpec(spec) as ServerConnection
    return comparable(printSshdConfig(loadSshdConfig({ file }).forConnection(connection)))
  } catch (error) {
    if (error instanceof ConfigError) return 'refused'
    throw error
  }
}

function compare(text: string, spec = ''): void {
  writeFileSync(file, `HostKey ${hostKey}\n${text}`)
  expect(ours(spec), `${text}\n${spec}`).toEqual(theirs(spec))
}

const inMatch: Readonly<Record<string, readonly string[]>> = {
  AcceptEnv: ['LANG LC_*', 'A=b', 'X'],
  AllowAgentForwarding: ['no', 'true'],
  AllowGroups: ['wheel staff', 'x*'],
  AllowStreamLocalForwarding: ['local', 'all', 'perhaps'],
  AllowTcpForwarding: ['remote', 'no', 'yes'],
  AllowUsers: ['joe', 'joe@10.0.0.0/8 ann', 'joe@10.0.0.1/8', '"a b"'],
  AuthenticationMethods: ['publickey,password', 'any', 'publickey any', 'nonsense', 'keyboard-interactive:pam'],
  AuthorizedKeysCommand: ['/bin/cat %u', 'none', 'cat'],
  AuthorizedKeysCommandUser: ['nobody'],
  AuthorizedKeysFile: ['.ssh/authorized_keys', '/etc/keys/%u x', 'none', 'none x'],
  AuthorizedPrincipalsFile: ['%h/principals', 'none'],
  Banner: ['/etc/issue', 'none'],
  ChrootDirectory: ['/srv/%u', 'none'],
  ClientAliveCountMax: ['1', 'x'],
  ClientAliveInterval: ['1m', '30'],
  DenyUsers: ['root'],
  DenyGroups: ['bad'],
  DisableForwarding: ['yes'],
  ExposeAuthInfo: ['yes'],
  ForceCommand: ['internal-sftp -f "a b" # x', 'none'],
  GatewayPorts: ['clientspecified', 'yes'],
  HostbasedAuthentication: ['yes'],
  IgnoreRhosts: ['shosts-only', 'no'],
  IPQoS: ['af21', 'cs0 ef', 'silly'],
  KbdInteractiveAuthentication: ['no'],
  LogLevel: ['VERBOSE', 'debug2', 'SHOUT'],
  MaxAuthTries: ['3', '-1'],
  MaxSessions: ['0'],
  PasswordAuthentication: ['no'],
  PermitEmptyPasswords: ['yes'],
  PermitListen: ['8080', 'localhost:1 *:2', 'none', '1.2.3.4', 'x:y'],
  PermitOpen: ['a:1 [::1]:2', 'any', 'none', 'a', '*:*'],
  PermitRootLogin: ['yes', 'no', 'forced-commands-only', 'without-password', 'prohibit-password'],
  PermitTTY: ['no'],
  PermitTunnel: ['point-to-point', 'yes', 'ethernet', 'YES'],
  PermitUserRC: ['no'],
  PubkeyAuthentication: ['no'],
  PubkeyAuthOptions: ['touch-required', 'none', 'verify-required touch-required', 'x'],
  RekeyLimit: ['1G 1h', 'default none', '3', '2M'],
  RequiredRSASize: ['2048'],
  SetEnv: ['A=1 "B=2 3"', 'A', 'A=1 A=2'],
  StreamLocalBindMask: ['0111', '9', '077'],
  StreamLocalBindUnlink: ['yes'],
  TrustedUserCAKeys: ['/etc/ca', 'none'],
  X11DisplayOffset: ['20'],
  X11Forwarding: ['yes'],
  X11UseLocalhost: ['no'],
}

const globalOnly: Readonly<Record<string, readonly string[]>> = {
  Port: ['2222', '0', 'x'],
  AddressFamily: ['inet', 'inet6', 'ipx'],
  ListenAddress: ['127.0.0.1', '127.0.0.1:2200', '::1', '[::1]:2200', '0.0.0.0', '1.2.3.4:x', '127.0.0.1 x'],
  Compression: ['delayed', 'no'],
  FingerprintHash: ['md5'],
  HostKeyAgent: ['/tmp/agent', 'SSH_AUTH_SOCK'],
  IgnoreUserKnownHosts: ['yes'],
  LoginGraceTime: ['30', '2m', '0', 'none'],
  MaxStartups: ['5', '5:50:20', '20:50:5', '0', '5:101:20', '5:50'],
  ModuliFile: ['/x'],
  PerSourceMaxStartups: ['3', 'none'],
  PerSourceNetBlockSize: ['24', '24:56', '33'],
  PermitUserEnvironment: ['yes', 'no', 'LANG,LC_*'],
  PrintLastLog: ['no'],
  PrintMotd: ['no'],
  StrictModes: ['no'],
  Subsystem: ['sftp internal-sftp', 'sftp /x "a b" c', 'sftp'],
  SyslogFacility: ['LOCAL1', 'NEWS'],
  TCPKeepAlive: ['no'],
  UseDNS: ['yes'],
  UsePAM: ['yes'],
  VersionAddendum: ['some text # comment', 'none', '"quoted"'],
  XAuthLocation: ['/x', 'none'],
  UsePrivilegeSeparation: ['yes'],
  Protocol: ['2'],
  NoSuchKeyword: ['x'],
  ChallengeResponseAuthentication: ['no'],
}

/** Lines that 9.2 treats differently, with the reason. */
const notCompared: Readonly<Record<string, string>> = {
  'PerSourceNetBlockSize 24': '9.2 leaves the second number unset',
  'Subsystem sftp /x "a b" c': 'quotes are kept since 9.6',
  'VersionAddendum some text # comment': 'comments are taken off since 9.8',
  'AuthorizedKeysFile none': 'printed by 9.2, empty since',
  'AuthorizedKeysFile none x': 'refused since 9.6',
}

/** Keywords of which 9.2 joins several lines in another way (the last wins, or lists grow), or which need another one. */
const notGenerated = /^(AuthenticationMethods|AuthorizedKeysCommand|IPQoS|PerSourceMaxStartups|PerSourceNetBlockSize) /

const pairs = (table: Readonly<Record<string, readonly string[]>>) =>
  Object.entries(table)
    .flatMap(([keyword, values]) => values.map(value => `${keyword} ${value}`))
    .filter(line => !Object.hasOwn(notCompared, line))

describe.runIf(usable)('against sshd -T', () => {
  test.each([...pairs(globalOnly), ...pairs(inMatch)])('%s', line => compare(`${line}\n`))
  test.each(pairs(inMatch))('in a Match block: %s', line =>
    compare(`Match user joe\n ${line}\n`, 'user=joe,host=h,addr=10.1.2.3'),
  )
  test.each(['Port 1', 'UsePAM yes', 'Ciphers aes128-ctr', 'LoginGraceTime 1', 'DSAAuthentication yes'])(
    'not in a Match block: %s',
    line => compare(`Match user joe\n ${line}\n`, 'user=joe,host=h,addr=10.1.2.3'),
  )
  test('Match localport', () => compare('Match localport 22\n PermitTTY no\n', 'user=joe,lport=22'))
  test.each([
    'Match',
    'Match all user x',
    'Match all',
    'Match user',
    'Match address 10.0.0.1/8',
    'Match localport x',
    'Match colour red',
    'Match user joe host',
  ])('%s', line => compare(`${line}\n PermitTTY no\n`, 'user=joe,host=h,addr=10.1.2.3'))

  test('generated configurations', () => {
    const good = (table: Readonly<Record<string, readonly string[]>>, before: string): string[] =>
      pairs(table).filter(line => {
        if (notGenerated.test(line)) return false
        writeFileSync(file, `HostKey ${hostKey}\n${before}${line}\n`)
        return ours('') !== 'refused'
      })
    const global = fc.constantFrom(...good(globalOnly, '').filter(line => !/^(ListenAddress|AddressFamily)/.test(line)))
    const local = fc.constantFrom(...good(inMatch, 'Match user nobody-here\n'))
    const header = fc.constantFrom(
      'Match user joe',
      'Match user !joe,*',
      'Match host *.example',
      'Match address 10.0.0.0/8',
      'Match address 10.0.0.0/8,!10.1.2.3',
      'Match user joe address 10.*',
      'Match localaddress 127.0.0.1',
      'Match group root',
      'Match all',
      'Match user "joe"',
      `Include ${join(folder, 'inc-*')}`,
    )
    writeFileSync(join(folder, 'inc-1'), 'PermitTTY no\nMatch user joe\n X11Forwarding yes\n')
    writeFileSync(join(folder, 'inc-2'), 'MaxSessions 4\nMatch user ann\n MaxSessions 5\n')
    const block = fc
      .tuple(header, fc.array(local, { maxLength: 5 }))
      .map(([head, lines]) => [head, ...lines].join('\n'))
    const configuration = fc
      .tuple(fc.array(fc.oneof(global, local), { maxLength: 6 }), fc.array(block, { maxLength: 4 }))
      .map(parts => `${parts.flat().join('\n')}\n`)
    const spec = fc.constantFrom(
      '',
      'user=joe,host=a.example,addr=10.1.2.3',
      'user=root,host=b,addr=192.0.2.1,laddr=127.0.0.1,lport=22',
      'user=ann,host=c.example,addr=10.2.2.2,laddr=::1,lport=2222',
    )
    fc.assert(fc.property(configuration, spec, compare), { numRuns: 200, seed: 20_261_124 })
  }, 240_000)
})

test('connections for which the same blocks count share their options, others do not', () => {
  writeFileSync(
    file,
    'MaxSessions 7\nMatch User joe\n MaxSessions 1\n RekeyLimit 1G 1h\nMatch User ann\n MaxSessions 2\n',
  )
  const config = loadSshdConfig({ file })
  const of = (user: string) => config.forConnection({ user, host: 'h', address: '10.0.0.1' })
  expect(of('joe')).toBe(of('joe'))
  expect(of('bob')).toBe(of('eve'))
  expect(['joe', 'ann', 'bob', 'joe'].map(user => of(user).maxSessions)).toEqual([1, 2, 7, 1])
  expect(of('joe').rekeyLimit.seconds).toBe(3600)
  expect(of('ann').rekeyLimit.seconds).toBe(of('bob').rekeyLimit.seconds)
})
