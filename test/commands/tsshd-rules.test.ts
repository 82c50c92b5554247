import type { Stats } from 'node:fs'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { unobeyed, unobeyedInMatch } from '../../commands/tsshd/config-policy.ts'
import { buildEnvironment } from '../../commands/tsshd/environment.ts'
import { isInternalSftp } from '../../commands/tsshd/internal-sftp.ts'
import { type Machine, refusal, rootMayLogin } from '../../commands/tsshd/login-rules.ts'
import { checkPasswordFile, passwordEntry, passwordIsInFile } from '../../commands/tsshd/password-file.ts'
import { chrootProblem } from '../../commands/tsshd/privileges.ts'
import {
  accountExpired,
  decoySetting,
  expiryWarnings,
  isLocked,
  parseShadow,
  passwordExpiry,
  passwordMatches,
} from '../../commands/tsshd/shadow.ts'
import { type LimitOptions, SourceLimits } from '../../commands/tsshd/source-limits.ts'
import { silentLog } from '../../lib/log.ts'
import { foreignFunctions } from '../../src/native/ffi.ts'
import { loadSshdConfig } from '../../src/openssh/load.ts'
import { parseSftpServerFlags, splitWords } from '../../src/sftp/server-options.ts'

const configOf = (...options: string[]) => loadSshdConfig({ file: 'none', options })

describe('sources', () => {
  let now = 0
  const limits = (...lines: string[]): SourceLimits => {
    now = 0
    return new SourceLimits(
      configOf(...lines) as LimitOptions,
      () => now,
      () => 0.5,
    )
  }
  const later = (seconds: number): void => {
    now += seconds * 1000
  }

  test('are dropped at random from MaxStartups begin on, and all of them from full on', () => {
    const gate = limits('MaxStartups 2:40:4')
    // With 0.5 as the random number: at 2 waiting 40 percent would be dropped, at 3 it is 70.
    expect([1, 2, 3].map(n => gate.admit(`10.0.0.${n}`))).toEqual([undefined, undefined, undefined])
    expect(gate.admit('10.0.0.4')).toBe('Maxstartups')
    expect(gate.waiting).toBe(3)
    gate.settled('10.0.0.1')
    expect(gate.admit('10.0.0.4')).toBeUndefined()
  })

  test('are networks of PerSourceNetBlockSize, each with PerSourceMaxStartups', () => {
    const gate = limits('PerSourceMaxStartups 1', 'PerSourceNetBlockSize 24:64')
    expect(gate.admit('10.0.0.1')).toBeUndefined()
    expect(gate.admit('10.0.0.200')).toBe('Maxstartups')
    expect(gate.admit('10.0.1.1')).toBeUndefined()
    expect(gate.admit('2001:db8::1')).toBeUndefined()
    expect(gate.admit('2001:db8::ffff:1')).toBe('Maxstartups')
    expect(gate.admit('2001:db8:0:1::1')).toBeUndefined()
    gate.settled('10.0.0.1')
    expect(gate.admit('10.0.0.200')).toBeUndefined()
  })

  test('collect penalties that count once they pass the minimum, and end', () => {
    const gate = limits('PerSourcePenalties authfail:5 min:12 max:30')
    expect(gate.penalise('10.0.0.1', 'authfail')).toMatchObject({ level: 'verbose' })
    expect(gate.penalise('10.0.0.1', 'authfail')).toBeUndefined()
    expect(gate.admit('10.0.0.1')).toBeUndefined()
    expect(gate.penalise('10.0.0.1', 'authfail')?.text).toContain('activating ipv4 penalty of 15.000 seconds')
    expect(gate.admit('10.0.0.1')).toBe('penalty: failed authentication')
    expect(gate.admit('10.0.0.2')).toBeUndefined()
    for (let tries = 0; tries < 20; tries++) gate.penalise('10.0.0.1', 'authfail')
    later(29)
    expect(gate.admit('10.0.0.1')).toBe('penalty: failed authentication')
    later(2)
    expect(gate.admit('10.0.0.1')).toBeUndefined()
  })

  test('are spared by PerSourcePenaltyExemptList, and when there are no penalties', () => {
    const exempt = limits('PerSourcePenaltyExemptList 10.0.0.0/8', 'PerSourcePenalties crash:90')
    expect(exempt.penalise('10.1.2.3', 'crash')).toBeUndefined()
    expect(exempt.admit('10.1.2.3')).toBeUndefined()
    expect(exempt.penalise('11.1.2.3', 'crash')?.level).toBe('info')
    expect(exempt.admit('11.1.2.3')).toBe('penalty: caused crash')
    const off = limits('PerSourcePenalties no')
    expect(off.penalise('11.1.2.3', 'crash')).toBeUndefined()
  })

  test('that overflow the table: the one that ends soonest goes, or everybody waits', () => {
    const room = limits('PerSourcePenalties crash:90 noauth:20 max-sources4:2')
    room.penalise('10.0.0.1', 'noauth')
    room.penalise('10.0.0.2', 'crash')
    room.penalise('10.0.0.3', 'crash')
    expect(room.admit('10.0.0.1')).toBeUndefined()
    expect(room.admit('10.0.0.3')).toBe('penalty: caused crash')
    const full = limits('PerSourcePenalties crash:90 max-sources4:1 overflow:deny-all')
    full.penalise('10.0.0.1', 'crash')
    expect(full.admit('10.0.0.9')).toBe('too many penalised addresses')
    expect(full.penalise('10.0.0.2', 'crash')?.text).toContain('table full')
  })
})

describe('logins', () => {
  const account = { name: 'joe', uid: 1000, gid: 1000, home: '/home/joe', shell: '/bin/sh' }
  const file = (mode: number, regular = true): Stats => ({ mode, isFile: () => regular }) as unknown as Stats
  const machine: Machine = { stat: () => file(0o755), groupsOf: () => ['joe', 'staff'], isLocked: () => false }
  const place = { address: '10.0.0.5', host: 'client.example.org' }
  const judge = (lines: readonly string[], other: Partial<Machine> = {}): string | undefined =>
    refusal(account, place, configOf(...lines), { ...machine, ...other })

  test.each([
    [['AllowUsers joe'], undefined],
    [['AllowUsers j*@10.0.0.0/24'], undefined],
    [['AllowUsers joe@*.example.org'], undefined],
    [['AllowUsers joe@*.example.com'], 'User joe from client.example.org not allowed because not listed in AllowUsers'],
    [['AllowUsers ann joe'], undefined],
    [['DenyUsers ann', 'AllowUsers *'], undefined],
    [['AllowUsers joe', 'DenyUsers j?e'], 'User joe from client.example.org not allowed because listed in DenyUsers'],
    [['AllowGroups wheel staff'], undefined],
    [
      ['AllowGroups st*', 'DenyGroups joe'],
      'User joe from client.example.org not allowed because a group is listed in DenyGroups',
    ],
    [
      ['AllowGroups wheel'],
      "User joe from client.example.org not allowed because none of user's groups are listed in AllowGroups",
    ],
  ])('%j', (lines, expected) => {
    expect(judge(lines)).toBe(expected)
  })

  test('need an account that is not locked and a shell that runs', () => {
    expect(judge([], { isLocked: () => true })).toBe('User joe not allowed because account is locked')
    expect(judge(['UsePAM yes'], { isLocked: () => true })).toBeUndefined()
    expect(judge([], { stat: () => undefined })).toBe('User joe not allowed because shell /bin/sh does not exist')
    expect(judge([], { stat: () => file(0o644) })).toBe('User joe not allowed because shell /bin/sh is not executable')
    expect(judge(['ChrootDirectory /srv'], { stat: () => undefined })).toBeUndefined()
    expect(judge(['AllowGroups x'], { groupsOf: () => [] })).toContain('not in any group')
  })

  test('of root', () => {
    expect(
      ['publickey', 'password', 'keyboard-interactive'].map(m => rootMayLogin('prohibit-password', m, false)),
    ).toEqual([true, false, false])
    expect(rootMayLogin('no', 'publickey', true)).toBe(false)
    expect(rootMayLogin('yes', 'password', false)).toBe(true)
    expect([true, false].map(forced => rootMayLogin('forced-commands-only', 'publickey', forced))).toEqual([
      true,
      false,
    ])
  })
})

describe('shadow(5)', () => {
  const now = new Date(20_000 * 86_400_000)
  const entry = (line: string) => parseShadow(`root:*:1::::::\n${line}\n`, 'joe')!

  test('says which accounts and passwords are over', () => {
    expect(parseShadow('joel:x:1::::::', 'joe')).toBeUndefined()
    expect(isLocked(entry('joe:!$6$a$b:19000:0:99999:7:::'))).toBe(true)
    expect(accountExpired(entry('joe:h:19000:0:99999:7::19999:'), now)).toBe(true)
    expect(accountExpired(entry('joe:h:19000:0:99999:7::20000:'), now)).toBe(false)
    expect(passwordExpiry(entry('joe:h:0:0:99999:7:::'), now)).toBe('password has expired (root forced)')
    expect(passwordExpiry(entry('joe:h:19990:0:9:7:::'), now)).toBe('password has expired (password aged)')
    expect(passwordExpiry(entry('joe:h:19990:0:10:7:::'), now)).toBeUndefined()
    expect(passwordExpiry(entry('joe:h:19990::::::'), now)).toBeUndefined()
    expect(expiryWarnings(entry('joe:h:19990:0:13:7::20001:'), now)).toEqual([
      'Your account will expire in 1 day.\n',
      'Your password will expire in 3 days.\n',
    ])
  })

  const haveNative = (() => {
    try {
      foreignFunctions()
      return process.platform === 'linux'
    } catch {
      return false
    }
  })()

  // Drepper's published vectors of SHA-crypt.
  test.skipIf(!haveNative)('hashes are those of crypt(3)', () => {
    const hash = '$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1'
    expect(passwordMatches('Hello world!', hash, '$6$decoy$')).toBe(true)
    expect(passwordMatches('Hello world?', hash, '$6$decoy$')).toBe(false)
    for (const unusable of [undefined, '*', '!', `!${hash}`, 'x', '$nonsense$']) {
      expect(passwordMatches('Hello world!', unusable, '$6$decoy$')).toBe(false)
    }
    expect(passwordMatches('', '', '$6$decoy$')).toBe(true)
    expect(passwordMatches('x', '', '$6$decoy$')).toBe(false)
    expect(decoySetting(`daemon:*:1::::::\njoe:${hash}:1::::::\n`)).toBe('$6$saltstring$')
  })
})

describe('a password file', () => {
  test('keeps scrypt hashes, for its owner alone', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tssh-passwords-'))
    try {
      const file = join(folder, 'passwords')
      writeFileSync(file, `${await passwordEntry('joe', 'p:a$s')}\nann:scrypt$40$8$1$AAAA$AAAA\n`, { mode: 0o600 })
      expect(await passwordIsInFile(file, 'joe', 'p:a$s')).toBe(true)
      expect(await passwordIsInFile(file, 'joe', 'other')).toBe(false)
      expect(await passwordIsInFile(file, 'ann', '')).toBe(false)
      expect(await passwordIsInFile(file, 'nobody', '')).toBe(false)
      chmodSync(file, 0o644)
      expect(() => checkPasswordFile(file)).toThrow('bad owner or permissions')
      expect(() => checkPasswordFile(join(folder, 'missing'))).toThrow('cannot read')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('sessions', () => {
  test('have an environment in which what stands later wins', () => {
    const environment = buildEnvironment({
      account: { name: 'joe', uid: 1000, gid: 1000, home: '/nonexistent', shell: '/bin/zsh' },
      peer: { address: '10.0.0.5', port: 5, localAddress: '10.0.0.1', localPort: 22 },
      requested: new Map([
        ['LANG', 'de'],
        ['HOME', '/evil'],
        ['A', 'client'],
      ]),
      keyEnvironment: new Map([
        ['A', 'key'],
        ['B', 'key'],
      ]),
      permitUserEnvironment: 'A,!B',
      setEnv: ['C=admin=x'],
      pamEnvironment: new Map([
        ['LD_PRELOAD', 'evil'],
        ['PAM', '1'],
        ['C', 'pam'],
      ]),
      session: { TERM: 'xterm', SSH_ORIGINAL_COMMAND: undefined },
      log: silentLog,
    })
    expect(environment).toMatchObject({
      HOME: '/nonexistent',
      LANG: 'de',
      A: 'key',
      C: 'admin=x',
      PAM: '1',
      TERM: 'xterm',
    })
    expect(environment).toMatchObject({ SSH_CONNECTION: '10.0.0.5 5 10.0.0.1 22', SSH_CLIENT: '10.0.0.5 5 22' })
    for (const absent of ['B', 'LD_PRELOAD', 'SSH_ORIGINAL_COMMAND']) expect(environment).not.toHaveProperty(absent)
  })

  test('know internal-sftp by its name alone, and its flags as sftp-server has them', () => {
    expect(
      ['internal-sftp', 'internal-sftp -R', 'internal-sftpx', '/internal-sftp', undefined].map(isInternalSftp),
    ).toEqual([true, true, false, false, false])
    expect(splitWords('a "b c" d\\ e \'f"\' ""')).toEqual(['a', 'b c', 'd e', 'f"', ''])
    expect(
      parseSftpServerFlags(['-Ru', '077', '-d', '/data', '-p', 'open,read', '-lVERBOSE', '-f', 'local3']),
    ).toMatchObject({
      umask: 0o77,
      startDirectory: '/data',
      logLevel: 'VERBOSE',
      facility: 'LOCAL3',
      server: { readOnly: true, allowed: ['open', 'read'] },
    })
    const many = ['-e', '-l', 'INFO', '-f', 'AUTH', '-u', '022', '-P', 'write', '-d', '/data', '-R']
    expect(parseSftpServerFlags(many)).toMatchObject({ server: { readOnly: true, denied: ['write'] }, umask: 0o22 })
    expect(parseSftpServerFlags(['-u', '1777'])).toEqual({ problem: 'Invalid umask "1777"' })
    expect(parseSftpServerFlags(['-p', 'a', '-p', 'b'])).toEqual({ problem: 'Permitted requests already set' })
    expect(parseSftpServerFlags(['-z'])).toEqual({ problem: 'usage' })
    expect(parseSftpServerFlags(['-d'])).toEqual({ problem: 'usage' })
  })

  test('never get a root directory that others could change', () => {
    expect(chrootProblem('relative')).toBe('chroot path does not begin at root')
    expect(chrootProblem('/tmp/x')).toContain('bad ownership or modes for chroot directory component "/tmp"')
    expect(chrootProblem('/no/such')).toContain('No such file or directory')
    expect(chrootProblem('/usr')).toBeUndefined()
  })
})

test('keywords that cannot be obeyed are told when they are set to something that needs them', () => {
  const told = (...lines: string[]): string[] => unobeyed(configOf(...lines))
  expect(told('X11Forwarding no', 'HostbasedAuthentication no', 'AllowUsers joe', 'PermitTunnel no')).toEqual([])
  expect(told('X11Forwarding yes')[0]).toContain('X11Forwarding is not supported by this server and has no effect.')
  expect(told('PermitTunnel yes', 'GSSAPIAuthentication yes', 'LogVerbose kex.c:*', 'X11Forwarding yes')).toHaveLength(
    4,
  )
  const match = { ...configOf(), x11Forwarding: true }
  expect(unobeyedInMatch(match, configOf())).toHaveLength(1)
  expect(unobeyedInMatch(match, match)).toEqual([])
})
