import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { generateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import type { Permissions } from '../../lib/userauth/permissions.ts'
import { matchAuthorizedKey } from '../../src/openssh/authorized-keys.ts'
import { checkStrictModes } from '../../src/openssh/files.ts'
import { verdictOf } from '../../src/openssh/key-options.ts'

const key = generateKey('ed25519').publicKey
const other = generateKey('ed25519').publicKey
const keyText = formatPublicKeyLine(key, 'me@here')
const context = { user: 'alice', address: '192.0.2.7', now: new Date('2026-06-15T12:00:00Z') }

const permissions = (text: string, where: { address?: string; host?: string; now?: Date } = {}) => {
  const options = matchAuthorizedKey(text, { publicKey: key }, { ...context, ...where })
  return options && verdictOf(options).permissions
}

const withOptions = (options: string): Permissions | undefined => permissions(`${options} ${keyText}`)

const all = {
  pty: true,
  userRc: true,
  x11Forwarding: true,
  agentForwarding: true,
  portForwarding: true,
  tunnels: true,
}
const forbidden = {
  pty: false,
  userRc: false,
  x11Forwarding: false,
  agentForwarding: false,
  portForwarding: false,
}
const nothing = { ...forbidden, tunnels: false }

describe('lines', () => {
  it('finds the key among comments, blank lines, rubbish and the keys of others', () => {
    const text = `# a comment\n\n\0\xff rubbish\nssh-ed25519\n${formatPublicKeyLine(other)}\n  ${keyText}\n`
    expect(permissions(text)).toEqual(all)
    expect(permissions(`${formatPublicKeyLine(other)}\n#${keyText}\n`)).toBeUndefined()
    expect(permissions('')).toBeUndefined()
  })

  it('refuses a key whose line names another type', () => {
    expect(permissions(keyText.replace('ssh-ed25519', 'ssh-rsa'))).toBeUndefined()
  })

  it('ends at CR LF as at LF, and passes over a line of 100 KB, not the next one', () => {
    expect(permissions(`${keyText}\r\n`)).toEqual(all)
    const long = `command="${'x'.repeat(100_000)}" ${keyText}`
    expect(permissions(`${long}\n`)).toBeUndefined()
    expect(permissions(`${long}\nrestrict ${keyText}\n`)).toEqual(nothing)
  })

  it('takes the first line that applies, not one further down', () => {
    const text = `from="203.0.113.*",command="a" ${keyText}\ncommand="b" ${keyText}\ncommand="c" ${keyText}\n`
    expect(permissions(text)?.forceCommand).toBe('b')
  })
})

describe('options', () => {
  it('takes single permissions away, whatever the case of their names', () => {
    expect(withOptions('no-pty,No-User-RC')).toEqual({ ...all, pty: false, userRc: false })
    expect(withOptions('no-x11-forwarding,no-agent-forwarding,no-port-forwarding')).toEqual({
      ...forbidden,
      tunnels: true,
      pty: true,
      userRc: true,
    })
  })

  it('restricts everything but what is given back', () => {
    expect(withOptions('restrict')).toEqual(nothing)
    expect(withOptions('restrict,pty,agent-forwarding')).toEqual({ ...nothing, pty: true, agentForwarding: true })
  })

  it('keeps blanks, commas and quotes inside a value', () => {
    expect(withOptions('command="echo \\"a, b\\" c",no-pty')).toEqual({
      ...all,
      pty: false,
      forceCommand: 'echo "a, b" c',
    })
  })

  it('collects the places that may be opened and listened on', () => {
    expect(
      withOptions(
        'permitopen="db.example:5432",permitopen="[2001:db8::1]:*",permitlisten="8080",permitlisten="localhost:*"',
      ),
    ).toMatchObject({
      permitOpen: ['db.example:5432', '[2001:db8::1]:*'],
      permitListen: ['*:8080', 'localhost:*'],
    })
  })

  it.each([
    'no-such-option',
    'no-pty,no-such-option="x"',
    'no-restrict',
    'command',
    'command=unquoted',
    'command="a",command="b"',
    'command="open',
    'from="a",from="b"',
    'environment="NO SPACES=1"',
    'environment="novalue"',
    'expiry-time="tomorrow"',
    'expiry-time="20261399"',
    'permitopen="db.example"',
    'permitopen="db.example:http"',
    'permitlisten=":x"',
    'tunnel="x"',
  ])('refuses a line with %s, and goes on to the next', options => {
    const line = `${options} ${keyText}`
    expect(permissions(line)).toBeUndefined()
    expect(permissions(`${line}\nno-pty ${keyText}`)).toEqual({ ...all, pty: false })
  })
})

describe('from', () => {
  it.each([
    ['192.0.2.0/24', true],
    ['192.0.2.*', true],
    ['*.example', true],
    ['!192.0.2.7,*', false],
    ['!host.example,192.0.2.0/24', false],
    ['203.0.113.0/24', false],
    ['*.elsewhere', false],
    ['192.0.2.7/24', false],
  ])('%s lets host.example (192.0.2.7) in: %s', (list, expected) => {
    const found = permissions(`from="${list}" ${keyText}`, { host: 'host.example' })
    expect(found !== undefined).toBe(expected)
  })
})

describe('expiry-time', () => {
  it.each([
    ['20260615115959Z', false],
    ['20260615120001Z', true],
    ['202606151201Z', true],
    ['20260615Z', false],
    ['20260616Z', true],
  ])('%s is still to come at noon of 2026-06-15 UTC: %s', (time, expected) => {
    expect(withOptions(`expiry-time="${time}"`) !== undefined).toBe(expected)
  })

  it('counts in local time without a Z', () => {
    const line = `expiry-time="202601021530" ${keyText}`
    expect(permissions(line, { now: new Date(2026, 0, 2, 15, 29) })).toEqual(all)
    expect(permissions(line, { now: new Date(2026, 0, 2, 15, 31) })).toBeUndefined()
  })

  it('obeys the earliest of several', () => {
    expect(withOptions('expiry-time="20270101Z",expiry-time="20260101Z"')).toBeUndefined()
    expect(withOptions('expiry-time="20260101Z",expiry-time="20270101Z"')).toBeUndefined()
  })
})

describe('StrictModes', () => {
  const uid = process.getuid?.() ?? 0
  const root = mkdtempSync(join(tmpdir(), 'tssh-modes-'))
  afterAll(() => rmSync(root, { recursive: true, force: true }))

  /** A home folder whose parent everybody may write to. */
  function home(name: string): { home: string; folder: string; file: string } {
    const open = join(root, name)
    const paths = { home: join(open, 'home'), folder: join(open, 'home/.ssh'), file: join(open, 'home/.ssh/keys') }
    mkdirSync(paths.folder, { recursive: true, mode: 0o700 })
    writeFileSync(paths.file, '', { mode: 0o600 })
    chmodSync(open, 0o777)
    return paths
  }

  it('accepts private files, and does not look above the home folder', () => {
    const paths = home('good')
    expect(checkStrictModes(paths.file, paths.home, uid)).toBeUndefined()
    chmodSync(paths.file, 0o644)
    expect(checkStrictModes(paths.file, paths.home, uid)).toBeUndefined()
  })

  it.each([
    ['file', 'file', 0o620],
    ['file', 'file', 0o602],
    ['folder', 'directory', 0o770],
    ['home', 'directory', 0o777],
  ] as const)('refuses a %s that others may write to', (which, kind, mode) => {
    const paths = home(`${which}${mode}`)
    chmodSync(paths[which], mode)
    const problem = checkStrictModes(paths.file, paths.home, uid)
    expect(problem).toContain(`bad ownership or modes for ${kind} ${paths[which]}`)
  })

  it('looks at every folder up to the root for a file outside the home folder', () => {
    const paths = home('outside')
    expect(checkStrictModes(paths.file, '/nonexistent', uid)).toContain(`directory ${join(root, 'outside')}`)
  })

  it.skipIf(uid !== 0)('refuses a file of somebody else, but not of root (needs root)', () => {
    const paths = home('owner')
    expect(checkStrictModes(paths.file, paths.home, 12345)).toBeUndefined()
    chownSync(paths.file, 54321, 54321)
    expect(checkStrictModes(paths.file, paths.home, 12345)).toContain(`file ${paths.file}`)
  })
})
